package main_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/histories"
)

// Sixty seconds of a cluster's life under load, with the worst that may happen to
// it: leaders are killed with operations under way, and every node is replaced.
// Whatever was acknowledged is there at the end, once, in order, on every node.
func TestRealCluster(t *testing.T) {
	const (
		topic      = "chaos"
		producers  = 16
		partitions = 4
		loadTime   = 60 * time.Second
		// A producer begins an operation at most so often: the history is to be judged
		// whole, and its records to be read again from every node.
		producePeriod = 10 * time.Millisecond
	)
	c := newCluster(t, 3)
	c.command("topic", "create", topic, "--partitions", strconv.Itoa(partitions), "--replicas", "3")
	r := newRecording()
	ch := &chaos{cluster: c, recording: r, topic: topic, begun: time.Now()}
	ch.load = startLoad(c, r, loadPlan{topic: topic, producers: producers, partitions: partitions, period: producePeriod, read: true})
	ch.load.awaitPulse(ch.begun)
	acts := []func(){
		ch.killLeader, ch.killLeader, ch.killLeader,
		ch.killMetaLeader, ch.killMetaLeader, ch.killMetaLeader,
		ch.replaceFirst, ch.replaceFirst, ch.replaceFirst,
		ch.stopLeader,
	}
	for i, act := range acts {
		// Evenly spread, as far as the machine keeps up.
		time.Sleep(time.Until(ch.begun.Add(loadTime * time.Duration(i+1) / time.Duration(len(acts)+1))))
		ch.measure(act)
	}
	time.Sleep(time.Until(ch.begun.Add(loadTime)))
	ch.load.stop()
	t.Logf("%d faults in %v of load", len(acts), time.Since(ch.begun).Round(time.Millisecond))
	ch.finalRead(partitions)
	r.judge(t)
}

// chaos is the faults that a loaded cluster meets.
type chaos struct {
	*cluster
	recording *recording
	load      *load
	topic     string
	begun     time.Time
	// what says which fault it was; led are the partitions that it hit.
	what string
	led  []int
}

// measure has a fault happen, waits until all is well again, and prints for how
// long partitions went without an acknowledgement.
func (c *chaos) measure(act func()) {
	c.t.Helper()
	c.load.mark()
	begun := time.Now()
	act()
	c.load.awaitPulse(time.Now())
	c.t.Logf("%4.1f s: %-43s led partitions %v; longest gaps by partition: %v; all well after %d ms",
		begun.Sub(c.begun).Seconds(), c.what, c.led, c.load.gaps(), time.Since(begun).Milliseconds())
}

// killLeader kills the leader of a partition and starts it again.
func (c *chaos) killLeader() {
	c.t.Helper()
	const partition = 0
	victim := c.leader(c.topic, partition)
	c.what = fmt.Sprintf("kill -9 of leader %d, %d under way", victim.id, c.load.inFlight(partition))
	c.crash(victim)
}

func (c *chaos) killMetaLeader() {
	c.t.Helper()
	victim := c.node(c.metadata().MetaLeader)
	c.what = fmt.Sprintf("kill -9 of meta leader %d, %d under way", victim.id, c.load.inFlight(0))
	c.crash(victim)
}

// crash kills a node, waits until the others go on without it, and starts it again.
func (c *chaos) crash(victim *node) {
	c.t.Helper()
	c.led = c.ledBy(victim, c.topic)
	c.recording.fault("crash", victim)
	victim.process.kill()
	killed := time.Now()
	c.load.awaitPulse(killed)
	c.recording.fault("restart", victim)
	c.serve(victim)
	c.awaitCaughtUp(victim)
}

// stopLeader asks the leader of a partition to stop, and starts it again.
func (c *chaos) stopLeader() {
	c.t.Helper()
	const partition = 0
	leader := c.leader(c.topic, partition)
	c.what = fmt.Sprintf("clean stop of leader %d", leader.id)
	c.restart(leader)
	c.awaitCaughtUp(leader)
}

// restart asks a node to stop, and starts it again once the others have gone on.
func (c *chaos) restart(n *node, flags ...string) {
	c.t.Helper()
	c.led = c.ledBy(n, c.topic)
	c.recording.fault("stop", n)
	if code := n.process.terminate(); code != 0 {
		c.t.Errorf("node %d ended with exit code %d after SIGTERM", n.id, code)
	}
	c.load.awaitPulse(time.Now())
	c.recording.fault("restart", n)
	c.serve(n, flags...)
}

// replaceFirst puts a fresh node in the place of the one that has been there for
// longest: it joins, every replica moves to it, and the old node is removed and
// killed.
func (c *chaos) replaceFirst() {
	c.t.Helper()
	old := c.nodes[0]
	c.led = c.ledBy(old, c.topic)
	fresh := c.join()
	c.what = fmt.Sprintf("node %d replaced by %d", old.id, fresh.id)
	c.recording.fault("replace", old)
	for i := range c.metadata(c.topic).Topics[0].Partitions {
		c.command("cluster", "move", "--topic", c.topic, "--partition", strconv.Itoa(i),
			"--from", strconv.FormatUint(old.id, 10), "--to", strconv.FormatUint(fresh.id, 10))
	}
	c.command("cluster", "remove", "--node", strconv.FormatUint(old.id, 10))
	old.process.kill()
	c.nodes = c.nodes[1:]
	c.awaitMetaVoters(3)
}

// finalRead has each node in turn lead every partition, and reads all of it there.
func (c *chaos) finalRead(partitions int) {
	c.t.Helper()
	c.recording.final.Store(true)
	cl := c.newClient(client.Config{History: c.recording.history})
	logs := make([][]histories.Record, partitions)
	for _, n := range c.nodes {
		for i := range partitions {
			log := c.readFrom(cl, n, i)
			if err := c.load.holds(i, log); err != nil {
				c.t.Errorf("partition %d as node %d leads it: %v", i, n.id, err)
			}
			if logs[i] != nil && !slices.Equal(logs[i], log) {
				c.t.Errorf("partition %d is another as node %d leads it", i, n.id)
			}
			logs[i] = log
		}
	}
	records := 0
	for _, log := range logs {
		records += len(log)
	}
	acked := 0
	for _, list := range c.load.acked {
		acked += len(list)
	}
	c.t.Logf("%d records acknowledged, %d unknown, %d read back from each of %d nodes", acked, c.load.unknown.Load(), records, len(c.nodes))
	if err := cl.Close(context.Background()); err != nil {
		c.t.Error(err)
	}
}

// readFrom reads a partition while a node leads it, from the first record to the
// last.
func (c *chaos) readFrom(cl *client.Client, n *node, partition int) (log []histories.Record) {
	c.t.Helper()
	await(c.t, settleTime, fmt.Sprintf("partition %d read while node %d led it", partition, n.id), func() error {
		c.command("cluster", "elect", "--topic", c.topic, "--partition", strconv.Itoa(partition), "--node", strconv.FormatUint(n.id, 10))
		before := c.metadata(c.topic).Topics[0].Partitions[partition]
		log = readAll(c.t, cl, c.topic, partition)
		after := c.metadata(c.topic).Topics[0].Partitions[partition]
		if before.Leader != n.id || after.Leader != n.id || before.LeaderTerm != after.LeaderTerm {
			return fmt.Errorf("node %d led in term %d before, node %d in term %d after", before.Leader, before.LeaderTerm, after.Leader, after.LeaderTerm)
		}
		return nil
	})
	return log
}
