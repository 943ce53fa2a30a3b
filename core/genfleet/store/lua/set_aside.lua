-- set_aside: a message that could not be judged, with its reason.
set_aside(ARGV[1])
return 1
