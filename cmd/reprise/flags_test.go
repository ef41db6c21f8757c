package main

import (
	"context"
	"strings"
	"testing"
	"time"

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

// Numbers that nothing can be made of are refused before anything is.
func TestAbsurdNumbers(t *testing.T) {
	for args, says := range map[string]string{
		"bench --dev --pipeline 4611686018427387904": "--pipeline 4611686018427387904",
		"bench --dev --pipeline 0":                   "--pipeline 0",
		"bench --dev --nodes 0 --each 1ms":           "1 to 9 nodes: 0",
		"dev --nodes 0":                              "1 to 9 nodes: 0",
		"dev --nodes 10":                             "1 to 9 nodes: 10",
	} {
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
		got := call(ctx, strings.NewReader(""), strings.Fields(args)...)
		stop()
		if got.code != cli.Usage || !strings.Contains(got.says, says) {
			t.Errorf("reprise %s: %+v, want %q", args, got, says)
		}
	}
}

// A partition is not chosen by leaving it out.
func TestPartitionIsNamed(t *testing.T) {
	for _, args := range []string{
		"cluster move --topic t --to 1", "cluster elect --topic t --node 1", "cluster elect --meta --partition 0 --node 1",
	} {
		got := call(t.Context(), strings.NewReader(""), append(strings.Fields(args), "--bootstrap", "127.0.0.1:1", "--timeout", "1ms")...)
		if got.code != cli.Usage || !strings.Contains(got.says, "--partition") {
			t.Errorf("reprise %s: %+v", args, got)
		}
	}
}

// What is said of the meta group does not speak of a partition.
func TestElectionOfMeta(t *testing.T) {
	for args, says := range map[string]string{
		"--node 9": "elect node 9 leader of the meta group: DISCONNECTED",
		"--nobody": "elect nobody leader of the meta group: DISCONNECTED",
	} {
		args := append([]string{"cluster", "elect", "--meta", "--bootstrap", "127.0.0.1:1", "--timeout", "50ms"}, strings.Fields(args)...)
		if got := call(t.Context(), strings.NewReader(""), args...); got.code != cli.Failed || !strings.Contains(got.says, says) {
			t.Errorf("%v: %+v, want %q", args, got, says)
		}
	}
}

// Others are not told an address at which each finds itself.
func TestAdvertisedHost(t *testing.T) {
	for args, says := range map[string]string{
		"--listen :9001":                                   "at :9001, which is themselves",
		"--listen 0.0.0.0:9001":                            "at 0.0.0.0:9001, which is themselves",
		"--listen [::]:9001":                               "at [::]:9001, which is themselves",
		"--listen [::ffff:0.0.0.0]:9001":                   "which is themselves",
		"--listen 127.0.0.1:9001 --advertise :9001":        "at :9001, which is themselves",
		"--listen :9001 --advertise [::]:9001":             "at [::]:9001, which is themselves",
		"--listen :9001 --advertise n1.example:9001":       "--log-level",
		"--listen 127.0.0.1:9001":                          "--log-level",
		"--listen [::1]:9001":                              "--log-level",
		"--listen localhost:9001":                          "--log-level",
		"--listen 0.0.0.0:9001 --advertise 127.0.0.1:9001": "--log-level",
	} {
		// What is refused last shows that nothing was before.
		args := append(strings.Fields("serve --init --insecure --log-level none --data nowhere"), strings.Fields(args)...)
		if got := call(t.Context(), strings.NewReader(""), args...); got.code != cli.Usage || !strings.Contains(got.says, says) {
			t.Errorf("%v: %+v, want %q", args, got, says)
		}
	}
}
