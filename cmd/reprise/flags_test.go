package main

import (
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/cmd/cli"
)

// A variable that is not set does not make a command mean everything.
func TestEmptyFlags(t *testing.T) {
	for _, args := range [][]string{
		{"acl", "remove", "--principal", "User:a", "--topic", ""},
		{"group", "reset", "bill", "--topic", "", "--to-earliest"},
		{"consume", "--topic", "t", "--from-time", ""},
		{"consume", "--topic", "t", "--group", ""},
		{"cluster", "drain", "--node", "1", "--to", ""},
	} {
		got := call(t.Context(), strings.NewReader(""), append(args, "--bootstrap", "127.0.0.1:1", "--timeout", "1ms")...)
		if got.code != cli.Usage || !strings.Contains(got.says, "was given with an empty value") {
			t.Errorf("reprise %q: %+v", args, got)
		}
	}
}
