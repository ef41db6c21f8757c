package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/embed"
	"github.com/reprise-mq/reprise/cmd/cli"
)

// patience bounds what nothing prevents; it finds hangs.
const patience = 20 * time.Second

// called is how a command that ran in this process has ended.
type called struct {
	code         int
	stdout, says string
}

// call runs a command line in this process.
func call(ctx context.Context, in io.Reader, args ...string) called {
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetIn(in)
	root.SetOut(&out)
	root.SetErr(&errs)
	code := cli.Run(ctx, root, args)
	return called{code, out.String(), errs.String()}
}

// began runs a command line in this process, and gives what it comes to. Who writes to it
// after it has ended is told so.
func began(ctx context.Context, in *io.PipeReader, args ...string) <-chan called {
	done := make(chan called, 1)
	go func() {
		done <- call(ctx, in, args...)
		in.Close()
	}()
	return done
}

// ended waits for a command that began.
func ended(t *testing.T, done <-chan called) called {
	t.Helper()
	select {
	case c := <-done:
		return c
	case <-time.After(patience):
		t.Fatalf("the command still runs after %v", patience)
		return called{}
	}
}

// oneTopic starts a cluster of one node with a topic t of one partition, and gives the flags
// of commands that ask it.
func oneTopic(t *testing.T) (*embed.Cluster, *client.Client, []string) {
	t.Helper()
	c := embed.Run(t, embed.Config{Nodes: 1})
	cl, err := client.New(client.Config{Bootstrap: c.Bootstrap()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close(context.Background()) })
	if err := cl.CreateTopic(t.Context(), "t", client.TopicOptions{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	return c, cl, []string{"--bootstrap", strings.Join(c.Bootstrap(), ","), "--timeout", "10s"}
}

// awaitEnd waits until partition 0 of topic t has so many records.
func awaitEnd(t *testing.T, cl *client.Client, want int64) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		end, err := cl.ListOffsets(t.Context(), "t", 0, api.OffsetSpec_LATEST)
		if err == nil && end == want {
			return
		}
		if time.Since(begun) > patience {
			t.Fatalf("the end is %d, %v; want %d", end, err, want)
		}
	}
}

// A produce from a standard input that never ends is stopped by the first signal; what was
// under way is waited for, and counted.
func TestProduceIsStopped(t *testing.T) {
	c, cl, flags := oneTopic(t)
	in, lines := io.Pipe()
	defer lines.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	done := began(ctx, in, append(flags, "produce", "--topic", "t", "--partition", "0")...)
	fmt.Fprintln(lines, "one")
	awaitEnd(t, cl, 1)
	c.Node(1).Unplug()
	// Once a line is asked for, the one before the last is under way.
	for _, line := range []string{"two\n", "three\n", "begun"} {
		io.WriteString(lines, line)
	}
	interrupt()
	c.Node(1).Plug()
	got := ended(t, done)
	end, err := cl.ListOffsets(t.Context(), "t", 0, api.OffsetSpec_LATEST)
	if err != nil || end < 2 {
		t.Errorf("%d records are there, %v; want 2 at least", end, err)
	}
	if want := fmt.Sprintf("%d records acknowledged\n", end); got.code != cli.Failed || got.stdout != want || !strings.Contains(got.says, "stopped before the end") {
		t.Errorf("%+v; want %q and exit code %d", got, want, cli.Failed)
	}
}

// unread is many lines, of which one is given at a time.
type unread struct{ given atomic.Int32 }

func (u *unread) Read(to []byte) (int, error) {
	const most = 40
	if u.given.Add(1) > most {
		return 0, io.EOF
	}
	return copy(to, "line\n"), nil
}

// The first failure that the next records would share ends a produce.
func TestProduceGivesUp(t *testing.T) {
	_, _, flags := oneTopic(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := taken.Addr().String()
	taken.Close()
	for _, test := range []struct {
		args []string
		says string
	}{
		{append(flags, "--topic", "nowhere"), "UNKNOWN_TOPIC_OR_PARTITION"},
		{[]string{"--topic", "t", "--bootstrap", nobody, "--timeout", "100ms"}, `how many partitions there are could not be asked: `},
	} {
		in := &unread{}
		got := call(t.Context(), in, append([]string{"produce"}, test.args...)...)
		if got.code != cli.Failed || got.stdout != "0 records acknowledged\n" || !strings.Contains(got.says, "1 of 1 records were not acknowledged, and no more were sent") || !strings.Contains(got.says, test.says) {
			t.Errorf("%v: %+v; want %q", test.args, got, test.says)
		}
		if given := in.given.Load(); given > 5 {
			t.Errorf("%v: %d lines were read where the first had failed", test.args, given)
		}
	}
}

// A record that fails for its size is no reason not to send the next.
func TestProduceGoesOnAfterALargeRecord(t *testing.T) {
	_, cl, flags := oneTopic(t)
	if err := cl.AlterTopic(t.Context(), "t", client.TopicChange{Set: map[string]string{"max.message.bytes": "1024"}}); err != nil {
		t.Fatal(err)
	}
	// The limit is there within seconds; until then all is taken.
	var end int64
	for begun := time.Now(); ; end++ {
		_, err := cl.Produce(t.Context(), "t", 0, client.Record{Value: make([]byte, 4096)})
		if err != nil {
			break
		}
		if time.Since(begun) > patience {
			t.Fatal("a large record is still taken")
		}
	}
	in, lines := io.Pipe()
	done := began(t.Context(), in, append(flags, "produce", "--topic", "t", "--partition", "0")...)
	fmt.Fprintln(lines, strings.Repeat("x", 4096))
	for i := range int64(3) {
		fmt.Fprintln(lines, "small")
		awaitEnd(t, cl, end+i+1)
	}
	lines.Close()
	got := ended(t, done)
	if got.code != cli.Failed || got.stdout != "3 records acknowledged\n" || !strings.Contains(got.says, "1 of 4 records were not acknowledged, the first: ") {
		t.Errorf("%+v", got)
	}
}

// A line is a record as it stands.
func TestProduceKeepsLines(t *testing.T) {
	_, cl, flags := oneTopic(t)
	if got := call(t.Context(), strings.NewReader("\n\r\none\r\ntwo"), append(flags, "produce", "--topic", "t")...); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	awaitEnd(t, cl, 4)
	var values []string
	for consumer := cl.Consume("t", 0, client.Earliest); len(values) < 4; {
		m, err := consumer.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if m.Value == nil {
			t.Errorf("the value at offset %d is null", m.Offset)
		}
		values = append(values, string(m.Value))
	}
	if want := []string{"", "\r", "one\r", "two"}; !slices.Equal(values, want) {
		t.Errorf("%q, want %q", values, want)
	}
}

// A line may be as long as a topic can be told to take, and ends the reading beyond.
func TestProduceOfLongLines(t *testing.T) {
	for length, want := range map[int]int{maxLine: 2, maxLine + 3: 0} {
		lines := make(chan line)
		go scanLines(t.Context(), strings.NewReader(strings.Repeat("x", length)+"\nand more\n"), lines)
		got := 0
		for l := range lines {
			if l.err == nil {
				got++
			}
		}
		if got != want {
			t.Errorf("%d lines, the first of %d bytes, want %d", got, length, want)
		}
	}
}
