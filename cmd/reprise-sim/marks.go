package main

import (
	_ "embed" // marks.txt
	"strings"
)

// markList names every mark that the broker and its client can set, one a line. A
// test gathers them from the source and holds the list to that.
//
//go:embed marks.txt
var markList string

// marks are those of the list.
func marks() []string { return strings.Split(strings.TrimSpace(markList), "\n") }
