package broker_test

import (
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// leads counts the partitions that each node leads.
func (c *cluster) leads() map[uint64]int {
	n := make(map[uint64]int)
	for _, t := range c.metadata(three...).GetTopics() {
		for _, p := range t.GetPartitions() {
			n[p.GetLeader()]++
		}
	}
	return n
}

// electAll makes a node, or nobody, the leader of the first so many partitions.
func (c *cluster) electAll(partitions int32, node uint64) {
	for p := range partitions {
		c.ok(func() *api.Request {
			return &api.Request{Body: &api.Request_ElectLeader{ElectLeader: &api.ElectLeaderRequest{Topic: topic("t"), Partition: p, Node: node}}}
		}, three...)
	}
}

// gather makes node 1 the preferred leader of every partition, though nobody elected it.
func (c *cluster) gather(partitions int32) {
	c.electAll(partitions, 1)
	c.electAll(partitions, 0)
}

// spreading is a cluster with a topic of six partitions on three nodes, which takes so many
// ticks between two changes of preferred leaders.
func spreading(t *testing.T, seed uint64, ticks int) *cluster {
	c := newCluster(t, seed, three...)
	for i, name := range three {
		c.hosts[name].Kill()
		c.start(name, func(cfg *broker.Config) {
			cfg.SpreadTicks, cfg.Init = ticks, i == 0
			cfg.Join = three[:min(i, 1)]
		})
		// One after the other, so that their ids are in the order of their names.
		c.waitFor("the node", func() bool { return len(c.metadata(three...).GetNodes()) == i+1 })
	}
	c.ok(func() *api.Request { return createTopic("t", 6) }, three...)
	return c
}

// However uneven they were, leaders are evened out, and then stay where they are.
func TestLeadersAreSpread(t *testing.T) {
	c := spreading(t, 41, 20)
	even := func() bool { n := c.leads(); return n[1] == 2 && n[2] == 2 && n[3] == 2 }
	c.waitFor("even leaders", even)
	c.gather(6)
	c.waitFor("even leaders again", even)
	terms := func() (sum uint64) {
		for _, t := range c.metadata(three...).GetTopics() {
			for _, p := range t.GetPartitions() {
				sum += p.GetLeaderTerm()
			}
		}
		return sum
	}
	c.run(10 * env.Second)
	before := terms()
	c.run(60 * env.Second)
	if after := terms(); after != before {
		t.Errorf("leaders changed %d times in a cluster that is well", after-before)
	}
	c.expectFine()
}

// A node that is away gets nothing to lead, and keeps what it was preferred for.
func TestAbsentNodeGetsNoMoreToLead(t *testing.T) {
	c := spreading(t, 42, 20)
	c.hosts["n3:1"].Kill()
	c.gather(6)
	up := three[:2]
	preferred := func() map[uint64]int {
		n := make(map[uint64]int)
		for _, t := range c.metadata(up...).GetTopics() {
			for _, p := range t.GetPartitions() {
				n[p.GetReplicas()[0].GetNode()]++
			}
		}
		return n
	}
	c.run(30 * env.Second)
	if n := preferred(); n[1] != 3 || n[2] != 3 {
		t.Errorf("with node 3 away, nodes are preferred for %v partitions; want three each of the others", n)
	}
	c.start("n3:1", func(cfg *broker.Config) { cfg.SpreadTicks = 20 })
	c.waitFor("even leaders", func() bool { n := c.leads(); return n[1] == 2 && n[2] == 2 && n[3] == 2 })
	c.expectFine()
}

// Whoever was elected leads whatever the others do, and leaders are evened out around it,
// until the election is undone.
func TestElectedLeadersStay(t *testing.T) {
	c := spreading(t, 44, 20)
	c.electAll(4, 1)
	leadsAsElected := func() bool { n := c.leads(); return n[1] == 4 && n[2] == 1 && n[3] == 1 }
	c.waitFor("the elected leader", leadsAsElected)
	c.run(30 * env.Second)
	if !leadsAsElected() {
		t.Errorf("leaders went elsewhere: %v", c.leads())
	}
	c.electAll(4, 0)
	c.waitFor("even leaders", func() bool { n := c.leads(); return n[1] == 2 && n[2] == 2 && n[3] == 2 })
	c.expectFine()
}

// Where nothing is evened out, leaders stay as they are.
func TestLeadersStayWhereNothingIsSpread(t *testing.T) {
	c := spreading(t, 43, 0)
	c.gather(6)
	c.waitFor("node 1 leads all", func() bool { return c.leads()[1] == 6 })
	c.run(30 * env.Second)
	if n := c.leads(); n[1] != 6 {
		t.Errorf("leaders went elsewhere: %v", n)
	}
	c.expectFine()
}

// New partitions are not for nodes that are down, unless there are too few others.
func TestNewPartitionsAvoidWhoIsDown(t *testing.T) {
	c := newCluster(t, 3, three...)
	c.full(three...)
	two := three[:2]
	c.hosts["n3:1"].Kill()
	c.run(5 * env.Second)
	c.ok(func() *api.Request {
		q := createTopic("few", 4)
		q.GetCreateTopic().ReplicationFactor = 1
		return q
	}, two...)
	c.ok(func() *api.Request { return createTopic("all", 1) }, two...)
	for _, topic := range c.metadata(two...).GetTopics() {
		for _, p := range topic.GetPartitions() {
			if nodes := nodesOf(p); topic.GetName() == "few" && nodes[0] == 3 || topic.GetName() == "all" && (len(nodes) != 3 || nodes[0] == 3) {
				t.Errorf("partition %d of %s is on nodes %v", p.GetPartition(), topic.GetName(), nodes)
			}
		}
	}
	c.start("n3:1", func(*broker.Config) {})
	c.run(5 * env.Second)
	q := createTopic("again", 1)
	q.GetCreateTopic().ReplicationFactor = 1
	c.ok(func() *api.Request { return q }, three...)
	for _, topic := range c.metadata(three...).GetTopics() {
		if topic.GetName() == "again" && nodesOf(topic.GetPartitions()[0])[0] != 3 {
			t.Errorf("a partition is on node %d, and node 3 has fewer", nodesOf(topic.GetPartitions()[0])[0])
		}
	}
	c.expectFine()
}
