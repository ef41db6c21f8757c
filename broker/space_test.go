package broker_test

import (
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
)

// fillDisk leaves a node's disk so much room; below 0 all it wants.
func (c *cluster) fillDisk(name env.Endpoint, room int64) {
	c.hosts[name].Disk.Fill(room)
	c.run(500 * env.Millisecond)
}

// refusedAsFull expects a node to say that there is no room, and that it says what
// to do.
func (c *cluster) refusedAsFull(name env.Endpoint, q *api.Request) {
	c.t.Helper()
	e := c.ask(name, q).GetError()
	if e.GetCode() != api.Code_STORAGE_FULL || len(e.GetMessage()) < 40 {
		c.t.Errorf("%s answers %v, want STORAGE_FULL and what to do about it", name, e)
	}
}

func (c *cluster) record() *api.Request {
	return produce("t", 0, records(c.t, batch.NoProducer, "x"))
}

// The only node's disk fills up: it refuses records and topics, serves what it has,
// deletes records, and goes on when there is room. It never stops.
func TestFullDiskOfTheOnlyNode(t *testing.T) {
	c := newCluster(t, 21, "n1:1")
	c.full("n1:1")
	c.fill(20, "n1:1")
	c.fillDisk("n1:1", broker.DefaultConfig().ReserveBytes-1)
	c.refusedAsFull("n1:1", c.record())
	c.refusedAsFull("n1:1", createTopic("u", 1))
	if r := c.ask("n1:1", fetching(fetch("t", 0))); r.GetFetch().GetHighWatermark() != 20 {
		t.Errorf("what is there is answered as %v", r)
	}
	if r := c.ask("n1:1", trim("t", 10)); r.GetDeleteRecords().GetLogStart() != 10 {
		t.Errorf("deleting records is answered as %v", r)
	}
	c.fillDisk("n1:1", -1)
	c.fill(1, "n1:1")
	c.expectFine()
}

// The room above the reserve is for records: the journal, which wants one file more,
// leaves it to them.
func TestJournalLeavesTheReserve(t *testing.T) {
	c := newCluster(t, 25, "n1:1")
	c.full("n1:1")
	c.fill(40, "n1:1")
	c.fillDisk("n1:1", broker.DefaultConfig().ReserveBytes+60<<10)
	c.fill(40, "n1:1")
	c.expectFine()
}

// The leader's disk fills up: another leads, and records are taken.
func TestFullDiskOfTheLeader(t *testing.T) {
	c := newCluster(t, 22, three...)
	c.full(three...)
	c.elect(1, three...)
	c.fillDisk("n1:1", 1<<20)
	c.waitFor("leader with room", func() bool { return c.partition(three...).GetLeader() != 1 })
	c.fill(20, three...)
	// The preferred leader does not get its leadership back while it has no room.
	c.run(10 * env.Second)
	if leader := c.partition(three...).GetLeader(); leader == 1 {
		t.Error("leadership went back to the node without room")
	}
	if err := c.nodes["n1:1"].Failed(); err != nil {
		t.Errorf("the node without room stopped: %v", err)
	}
	c.fillDisk("n1:1", -1)
	c.elect(1, three...)
	c.fill(1, "n1:1")
	c.expectFine()
}

// Of three disks two fill up: the third node's records could not be committed, so it
// refuses them before it has taken any.
func TestFullDisksOfAMajority(t *testing.T) {
	c := newCluster(t, 23, three...)
	c.full(three...)
	c.elect(3, three...)
	for _, name := range []env.Endpoint{"n1:1", "n2:1"} {
		c.fillDisk(name, 1<<20)
	}
	c.refusedAsFull("n3:1", c.record())
	if r := c.ask("n3:1", fetching(fetch("t", 0))); r.GetFetch() == nil {
		t.Errorf("a fetch is answered as %v", r)
	}
	c.fillDisk("n2:1", -1)
	c.fill(20, "n3:1")
	c.fillDisk("n1:1", -1)
	c.waitFor("equal logs", func() bool { return c.nodes["n1:1"].Inspect()[1].Applied == c.nodes["n3:1"].Inspect()[1].Applied })
	c.expectFine()
}

// A follower whose reserve is nearly spent writes nothing more, like one that is cut off; the
// others go on, and it catches up when it has room.
func TestFollowerKeepsTheLastOfItsDisk(t *testing.T) {
	c := newCluster(t, 26, three...)
	c.full(three...)
	c.elect(1, three...)
	c.fillDisk("n3:1", 1<<20)
	applied := func(name env.Endpoint) api.Index { return c.nodes[name].Inspect()[1].Applied }
	before := applied("n3:1")
	c.fill(20, three...)
	c.run(env.Second)
	if now := applied("n3:1"); now > before+1 { // who leads may have told it of one that it had
		t.Errorf("the node without room went on from entry %d to %d", before, now)
	}
	c.fillDisk("n3:1", -1)
	c.waitFor("equal logs", func() bool { return applied("n3:1") == applied("n1:1") })
	c.expectFine()
}

// A topic made while a node has no room gets its replica there later.
func TestReplicaIsMadeWhenThereIsRoom(t *testing.T) {
	c := newCluster(t, 24, three...)
	c.full(three...)
	c.fillDisk("n2:1", 1<<20)
	c.ok(func() *api.Request { return createTopic("u", 1) }, "n1:1", "n3:1")
	c.run(2 * env.Second)
	if n := len(c.nodes["n2:1"].Inspect()); n != 2 {
		t.Errorf("the node without room has %d replicas, want the 2 it had", n)
	}
	c.fillDisk("n2:1", -1)
	c.waitFor("third replica", func() bool { return len(c.nodes["n2:1"].Inspect()) == 3 })
	c.expectFine()
}
