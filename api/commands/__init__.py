"""The commands of `miaopei`, one module a subject. Heavy imports stay inside the commands that need them."""
