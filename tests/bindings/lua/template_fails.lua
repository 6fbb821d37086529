-- A module that cannot be loaded.
error "it is broken"
