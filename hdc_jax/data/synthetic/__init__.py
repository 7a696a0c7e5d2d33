"""Generated videos whose motion and scene are independent."""
