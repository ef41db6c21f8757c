package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/client"
)

// A topic's log shrinks by time and by size, as its configs say; records are found by
// their time stamps; and it gets more partitions.
func TestRealRetention(t *testing.T) {
	command, must := oneNode(t)
	for range 10 {
		must(strings.Repeat("x", 1000)+"\n", "produce", "--topic", "t")
	}
	ends := func() (start, end int64) {
		var topic struct{ Partitions []struct{ Start, End int64 } }
		if err := json.Unmarshal([]byte(must("", "topic", "describe", "t", "--json")), &topic); err != nil || len(topic.Partitions) == 0 {
			t.Fatalf("%v: %+v", err, topic)
		}
		return topic.Partitions[0].Start, topic.Partitions[0].End
	}
	if start, end := ends(); start != 0 || end != 10 {
		t.Errorf("the log has %d to %d", start, end)
	}

	// By size: a piece of 4096 bytes at least stays.
	must("", "topic", "config", "t", "--set", "retention.bytes=2000", "--set", "max.message.bytes=2048")
	await(t, 10*time.Second, "a smaller log", func() error {
		if start, end := ends(); start == 0 || start >= end {
			return fmt.Errorf("%d to %d", start, end)
		}
		return nil
	})
	wantRefused(t, command(strings.Repeat("y", 3000)+"\n", "produce", "--topic", "t"), "a long record", failed, "max.message.bytes")
	must("", "topic", "config", "t", "--set", "max.message.bytes=4194304")
	must("", "topic", "config", "t", "--unset", "retention.bytes")
	cl, err := client.New(client.Config{Bootstrap: []string{os.Getenv("BOOTSTRAP")}})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close(t.Context())
	if offset, err := cl.Produce(t.Context(), "t", 0, client.Record{Value: make([]byte, 3_000_000)}); err != nil || offset != 10 {
		t.Errorf("3 MB at offset %d: %v", offset, err)
	}
	if _, _, found, err := cl.OffsetAtTime(t.Context(), "t", 0, time.Now().Add(time.Hour).UnixMilli()); err != nil || found {
		t.Errorf("a record of the future is found: %t, %v", found, err)
	}

	// By time stamp.
	if out := must("", "consume", "--topic", "t", "--from-time", "1h", "--max", "1", "--format", `%o\n`); strings.TrimSpace(out) == "0" || out == "" {
		t.Errorf("the first record of the last hour is %q", out)
	}
	wantRefused(t, command("", "consume", "--topic", "t", "--from-time", "soon"), "a time that is none", usage, "--from-time")

	// By time: all goes, for it is no longer written to.
	must("", "topic", "config", "t", "--set", "retention.ms=500")
	await(t, 10*time.Second, "an empty log", func() error {
		if start, end := ends(); start != end || end != 11 {
			return fmt.Errorf("%d to %d", start, end)
		}
		return nil
	})
}

// A topic's configs are shown and changed, or refused; and it gets more partitions.
func TestRealConfigs(t *testing.T) {
	command, must := oneNode(t)
	wantRefused(t, command("", "topic", "config", "t", "--set", "retention.ms=never"), "retention.ms=never", failed, "-1 for no limit")
	wantRefused(t, command("", "topic", "config", "t", "--unset", "cleanup.policy"), "an unknown config", failed, "retention.bytes")
	must("", "topic", "config", "t", "--dry-run", "--set", "retention.ms=-1")
	if out := must("", "topic", "config", "t", "--json"); !strings.Contains(strings.ReplaceAll(out, " ", ""), `"value":"600000"`) {
		t.Errorf("after a dry run: %s", out)
	}
	must("", "topic", "add-partitions", "t", "--partitions", "3")
	must("new\n", "produce", "--topic", "t", "--partition", "2")
	wantRefused(t, command("", "topic", "add-partitions", "t", "--partitions", "2"), "fewer partitions", failed, "only be more")
}

// oneNode starts a cluster of one node with a topic t, and gives two ways to run a
// command there: one that hands its outcome on, and one that expects it to do well and
// gives its output.
func oneNode(t *testing.T) (command func(input string, args ...string) outcome, must func(input string, args ...string) string) {
	folder, listen := t.TempDir(), freeAddress(t)
	start(t, filepath.Join(folder, "log"), "serve", "--data", filepath.Join(folder, "data"), "--listen", listen, "--init")
	t.Setenv("BOOTSTRAP", listen)
	command = func(input string, args ...string) outcome {
		return run(t, input, slices.Concat(args, []string{"--bootstrap", listen, "--timeout", "5s"})...)
	}
	must = func(input string, args ...string) string {
		t.Helper()
		out := command(input, args...)
		if out.code != 0 {
			t.Fatalf("%v: %s%s", args, out.output, out.errors)
		}
		return out.output
	}
	await(t, 20*time.Second, "a topic", func() error {
		if out := command("", "topic", "create", "t", "--config", "retention.ms=600000", "--config", "segment.bytes=4096"); out.code != 0 {
			return fmt.Errorf("%s%s", out.output, out.errors)
		}
		return nil
	})
	return command, must
}
