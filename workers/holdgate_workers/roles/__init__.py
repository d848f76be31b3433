"""As which process: one thin main per role."""
