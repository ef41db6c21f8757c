package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/cmd/cli"
)

// The test's own program is the command, too, where it is given a command line of
// it: so no test has to build one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		os.Exit(cli.Run(context.Background(), newRoot(), os.Args[1:]))
	}
	os.Exit(m.Run())
}

// self is the command as a program.
func self(t *testing.T) string {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return name
}
