-- set_aside: what could not be judged, with its reason, and names and values of what is known of it.
set_aside(clock(), unpack(ARGV))
return 1
