package docs

func Tested() {}

/* want `a comment says XXX` */ // XXX here, too
