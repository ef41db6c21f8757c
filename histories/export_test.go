package histories

// ParseLine reads one line without its place in a history.
var ParseLine = parseLine
