package main_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/histories"
)

// A group's coordinator is killed, again and again. What was committed stays so; the member
// that there is loses nothing and commits on; and another one comes in.
func TestRealCoordinatorKilled(t *testing.T) {
	const (
		topic, group = "t", "g"
		rounds       = 4
		records      = 50
		// bound is for hangs; what is aimed at is three seconds.
		bound = 20 * time.Second
	)
	c := newCluster(t, 3)
	c.command("topic", "create", topic, "--partitions", "2")
	c.command("topic", "create", api.GroupsTopic, "--partitions", "2") // as many shards as somebody likes
	g := &groupRun{chaos: &chaos{cluster: c, topic: topic}, group: group, topicID: c.metadata(topic).Topics[0].Id, partitions: 2}
	cl := c.newClient(client.Config{})
	g.onlooker = cl
	lost := 0
	s, err := cl.Subscribe(t.Context(), client.SubscribeOptions{
		Group: group, Topics: []string{topic}, Session: memberSession, Lost: func(l []core.TopicPartition) { lost += len(l) },
	})
	if err != nil {
		t.Fatal(err)
	}
	read := &commitReader{t: t, s: s}
	for range rounds {
		committed := read.next + records
		produceValues(t, cl, topic, read.next, committed, 100)
		read.until(committed)
		if err := s.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		produceValues(t, cl, topic, committed, committed+1, 100)
		read.until(committed + 1)
		victim := g.coordinator()
		victim.process.kill()
		killed := time.Now()
		g.wantCommitted(committed)
		told := time.Since(killed)
		if err := s.Commit(t.Context()); err != nil {
			t.Errorf("the first commit after the kill: %v", err)
		}
		acked := time.Since(killed)
		g.wantCommitted(committed + 1)
		newcomer := g.comeIn()
		entered := time.Since(killed)
		read.poll() // gives up what the newcomer is to have
		t.Logf("kill -9 of coordinator %d: offsets are told after %d ms, a commit is acknowledged after %d ms, and a new member is one after %d ms",
			victim.id, told.Milliseconds(), acked.Milliseconds(), entered.Milliseconds())
		if entered > bound {
			t.Errorf("the group took longer than %v", bound)
		}
		if err := newcomer.Close(t.Context()); err != nil {
			t.Error(err)
		}
		c.serve(victim)
		c.awaitCaughtUp(victim)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if lost > 0 {
		t.Errorf("the member that was there all the time lost %d partitions", lost)
	}
}

// wantCommitted reads how far the group has come in partition 0.
func (g *groupRun) wantCommitted(want int) {
	g.t.Helper()
	if at, err := g.committed(g.t.Context(), 0); err != nil || at != int64(want) {
		g.t.Errorf("committed is %d, %v; %d was acknowledged", at, err, want)
	}
}

// comeIn subscribes another member, and waits until the group knows it.
func (g *groupRun) comeIn() *client.Subscription {
	g.t.Helper()
	cl := g.newClient(client.Config{})
	s, err := cl.Subscribe(g.t.Context(), client.SubscribeOptions{Group: g.group, Topics: []string{g.topic}, Session: memberSession})
	if err != nil {
		g.t.Fatal(err)
	}
	await(g.t, settleTime, "a second member", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		d, err := g.client.DescribeGroup(ctx, g.group)
		if err == nil && len(d.Members) < 2 {
			err = fmt.Errorf("there is %d", len(d.Members))
		}
		return err
	})
	return s
}

// commitReader reads records whose values are their offsets.
type commitReader struct {
	t    *testing.T
	s    *client.Subscription
	next int
}

// until reads until it has come to an offset of partition 0, and says that it is processed.
func (r *commitReader) until(end int) {
	r.t.Helper()
	await(r.t, settleTime, fmt.Sprintf("records up to offset %d", end), func() error {
		r.poll()
		if r.next != end {
			return fmt.Errorf("there are %d", r.next)
		}
		return nil
	})
	r.poll()
}

func (r *commitReader) poll() {
	r.t.Helper()
	records, err := pollFor(r.t.Context(), r.s, 100*time.Millisecond)
	if err != nil {
		r.t.Log(err) // the coordinator may be away
	}
	for _, record := range records {
		if got := histories.ParsePayload(record.Offset, record.Value); got.Corrupt || int(got.Value) != r.next {
			r.t.Fatalf("%+v is handed out, and %d is next", got, r.next)
		}
		r.next++
	}
}

// 'consume --group' shares the work with another process, and says what it is given, what
// it commits, also when no more records come, and what it gives up.
func TestRealConsumeGroup(t *testing.T) {
	c := newCluster(t, 1)
	c.command("topic", "create", "t", "--partitions", "2")
	for i := range 2 {
		out := run(t, "one\ntwo\nthree\n", "produce", "--topic", "t", "--partition", fmt.Sprint(i), "--bootstrap", c.bootstrap())
		if out.code != 0 {
			t.Fatal(out.errors)
		}
	}
	consume := func(name string, more ...string) *process {
		args := []string{"consume", "--topic", "t", "--group", "g", "--from", "earliest", "--bootstrap", c.bootstrap()}
		return start(t, t.TempDir()+"/"+name, append(args, more...)...)
	}
	says := func(p *process, parts ...string) {
		t.Helper()
		await(t, settleTime, fmt.Sprintf("that it says %q", parts), func() error {
			for _, part := range parts {
				if !strings.Contains(p.printed(), part+"\n") {
					return fmt.Errorf("it says\n%s", p.printed())
				}
			}
			return nil
		})
	}
	first := consume("first")
	says(first, "assigned t/0 from offset 0", "assigned t/1 from offset 0", "three", "committed t/0 at offset 3", "committed t/1 at offset 3")
	second := consume("second")
	says(second, "from offset 3")
	moved := "t/0"
	if strings.Contains(second.printed(), "assigned t/1") {
		moved = "t/1"
	}
	says(first, "revoked "+moved)
	for i := range 2 {
		c.command("produce", "--topic", "t", "--partition", fmt.Sprint(i), "four")
	}
	says(first, "four")
	says(second, "four")
	if code := second.terminate(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, second.printed())
	}
	says(second, "committed "+moved+" at offset 4", "revoked "+moved)
	says(first, "assigned "+moved+" from offset 4")
	if code := first.terminate(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, first.printed())
	}
	third := consume("third", "--max", "1")
	c.command("produce", "--topic", "t", "--partition", moved[2:], "five")
	if code := third.wait(); code != 0 || !strings.Contains(third.printed(), "assigned ") || !strings.Contains(third.printed(), "committed ") {
		t.Errorf("exit code %d:\n%s", code, third.printed())
	}
}
