-- A module that a template loads, and this program does not.
return {}
