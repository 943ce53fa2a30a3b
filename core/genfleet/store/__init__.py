"""Redis: every atomic step of a task's life as one Lua file and one typed call, run alike by sync and async programs."""
