-- expire: records whose retention is over leave, with their place in every index. Says how many.
return expire(clock())
