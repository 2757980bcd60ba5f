"""DVC: the drops behind pointers, and the runner of stages."""
