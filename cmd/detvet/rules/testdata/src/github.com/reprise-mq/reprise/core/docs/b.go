package docs

/* want `a comment says TODO: do it` */ // TODO: later

func later() {} // FIXME later // want `a comment says FIXME`
