"""Generated videos whose labels, motion and scene, are independent."""
