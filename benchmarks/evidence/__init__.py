"""The measurements behind docs/evidence.md: does HDC decouple, and when?"""
