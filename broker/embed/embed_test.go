package embed_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/embed"
)

// cluster is a cluster with a topic and somebody who uses it.
type cluster struct {
	*embed.Cluster
	t      *testing.T
	client *client.Client
	acked  int
}

func start(t *testing.T) *cluster {
	begun := time.Now()
	c := &cluster{Cluster: embed.Run(t, embed.Config{}), t: t}
	t.Logf("three nodes serve after %v", time.Since(begun))
	var err error
	if c.client, err = client.New(client.Config{Bootstrap: c.Bootstrap()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.client.Close(context.Background()) })
	if err := c.client.CreateTopic(t.Context(), "t", client.TopicOptions{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	return c
}

// produce expects so many records to be acknowledged, at the offsets that follow.
func (c *cluster) produce(n int) {
	c.t.Helper()
	for range n {
		at, err := c.client.Produce(c.t.Context(), "t", 0, client.Record{Value: value(c.acked)})
		if err != nil || at != int64(c.acked) {
			c.t.Fatalf("record %d: at %d, %v", c.acked, at, err)
		}
		c.acked++
	}
}

func value(n int) []byte { return fmt.Appendf(nil, "record %d", n) }

// readBack expects every record that was acknowledged, once and in order.
func (c *cluster) readBack() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	consumer := c.client.Consume("t", 0, client.Earliest)
	for n := range c.acked {
		m, err := consumer.Next(ctx)
		if err != nil || string(m.Value) != string(value(n)) {
			c.t.Fatalf("record %d of %d is read as %q, %v", n, c.acked, m.Value, err)
		}
	}
}

func (c *cluster) leader() *embed.Node {
	c.t.Helper()
	n, err := c.Leader(c.t.Context(), "t", 0)
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// Leaders are killed, stopped, started and replaced: every record stays.
func TestNodesComeAndGo(t *testing.T) {
	c := start(t)
	c.produce(10)
	killed := c.leader()
	killed.Kill()
	if killed.Running() || killed.ID() != 0 || killed.Replicas() != nil {
		t.Error("a node that was killed runs")
	}
	c.produce(10)
	c.must(killed.Start())
	c.must(killed.Start()) // once more is nothing
	stopped := c.leader()
	c.must(stopped.Stop(t.Context()))
	c.produce(10)
	c.must(stopped.Start())
	fourth, err := c.Add()
	c.must(err)
	if fourth.Number() != 4 || c.Node(4) != fourth || len(c.Nodes()) != 4 {
		t.Errorf("the node that was added is number %d of %d", fourth.Number(), len(c.Nodes()))
	}
	for _, n := range c.Nodes() {
		n.Kill()
	}
	for _, n := range c.Nodes() {
		c.must(n.Start())
	}
	c.produce(10)
	c.readBack()
}

// Records without acknowledgement arrive though their client is closed at once.
func TestUnacknowledgedRecordsOutliveTheirClient(t *testing.T) {
	c := start(t)
	c.produce(1)
	app, err := client.New(client.Config{Bootstrap: c.Bootstrap()})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		p := app.ProduceAsync(t.Context(), client.Unacknowledged, "t", 0, client.Record{Value: value(c.acked)})
		if _, err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.acked++
	}
	if err := app.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.readBack()
}

// A leader that hears nothing of the others is replaced, though clients reach it.
func TestCut(t *testing.T) {
	c := start(t)
	c.produce(5)
	old := c.leader()
	c.Cut(old)
	c.produce(5)
	if now := c.leader(); now == old {
		t.Error("the node that was cut off leads on")
	}
	c.Heal()
	c.produce(5)
	c.readBack()
}

// A node whose cable is pulled is missed by clients too, and comes back.
func TestUnplug(t *testing.T) {
	c := start(t)
	c.produce(5)
	old := c.leader()
	old.Unplug()
	c.produce(5)
	old.Plug()
	c.produce(5)
	c.readBack()
	for _, n := range c.Nodes() {
		n.Unplug()
	}
	brief, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.client.Produce(brief, "t", 0, client.Record{Value: value(c.acked)}); err == nil {
		t.Error("a record is acknowledged by nodes that nobody can reach")
	}
}

// A cluster that cannot be says why, and leaves nothing behind.
func TestBadConfig(t *testing.T) {
	dir := t.TempDir()
	if _, err := embed.Start(embed.Config{Nodes: 10, Dir: dir}); err == nil {
		t.Error("ten nodes start")
	}
	if _, err := embed.Start(embed.Config{Dir: dir + "/none"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
	}
	inTheWay := func(number int, _ *broker.Config) {
		made, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(made) != 1 {
			t.Fatalf("folders %v, %v", made, err)
		}
		if err := os.WriteFile(filepath.Join(made[0], fmt.Sprint("node-", number)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := embed.Start(embed.Config{Dir: dir, Node: inTheWay}); err == nil {
		t.Error("a node starts on a file that is no folder")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A dead node has the fewest replicas, and gets none.
func TestDrainAvoidsTheDead(t *testing.T) {
	c := start(t)
	fourth, err := c.Add()
	c.must(err)
	fifth, err := c.Add()
	c.must(err)
	fourth.Kill()
	c.produce(5)
	id := uint64(c.leader().ID())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c.must(c.client.Drain(ctx, id, client.Drain{}))
	if len(fifth.Replicas()) != 2 {
		t.Errorf("the fifth node has %d replicas", len(fifth.Replicas()))
	}
	c.readBack()
	c.must(c.client.RemoveNode(ctx, id))
	if _, err := c.client.PlanDrain(ctx, uint64(c.leader().ID()), client.Drain{}); err == nil || !strings.Contains(err.Error(), "do not answer") {
		t.Errorf("a drain to a dead node is planned with %v", err)
	}
}

// A node gives all it has to others under load, leaves, and nobody misses it.
func TestDrain(t *testing.T) {
	c := start(t)
	fourth, err := c.Add()
	c.must(err)
	c.produce(20)
	leader := c.leader()
	loaded, ended := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-loaded:
				ended <- n
				return
			default:
				if _, err := c.client.Produce(t.Context(), "t", 0, client.Record{Value: value(20 + n)}); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	id := uint64(leader.ID())
	var left []int
	c.must(c.client.Drain(t.Context(), id, client.Drain{Progress: func(n int) { left = append(left, n) }}))
	if fmt.Sprint(left) != "[1 0]" {
		t.Errorf("so many replicas were left: %v", left)
	}
	c.must(c.client.RemoveNode(t.Context(), id))
	close(loaded)
	c.acked += <-ended
	leader.Kill()
	c.produce(5)
	c.readBack()
	fifth, err := c.Add()
	c.must(err)
	if fifth.Number() != 5 || c.leader() == leader || len(fourth.Replicas()) != 2 {
		t.Errorf("the node leads on, or the fourth has %d replicas", len(fourth.Replicas()))
	}
	only := client.Drain{To: []uint64{uint64(c.leader().ID())}}
	if err := c.client.Drain(t.Context(), uint64(fourth.ID()), only); err == nil {
		t.Error("a node gets a second replica of a partition")
	}
	c.must(c.client.Drain(t.Context(), uint64(fourth.ID()), client.Drain{}))
	if len(fifth.Replicas()) != 2 {
		t.Errorf("the fifth node has %d replicas", len(fifth.Replicas()))
	}
}
