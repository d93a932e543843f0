"""After the copy: families of AMIs, and the parameter in each target that names the current one."""
