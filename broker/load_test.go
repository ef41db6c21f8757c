package broker_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/netsim"
)

// load is producers of partition t/0 that never wait.
type load struct {
	*cluster
	leader uint64
	sent   []uint64
	data   []byte
	acked  int
}

const producers = 20

// pump hears what was answered, and sends as much again.
func (l *load) pump() {
	var left []uint64
	for _, id := range l.sent {
		r := l.client.answers[id]
		switch {
		case r == nil:
			left = append(left, id)
		case r.GetError() == nil:
			l.acked++
		case r.GetError().GetLeaderId() != 0:
			l.leader = r.GetError().GetLeaderId()
		}
	}
	for l.sent = left; len(l.sent) < producers; {
		l.client.last++
		q := produce("t", 0, l.data)
		q.Id = l.client.last
		l.client.network.Send(env.Endpoint(fmt.Sprintf("n%d:1", l.leader)), &api.Message{Body: &api.Message_Request{Request: q}})
		l.sent = append(l.sent, q.Id)
	}
}

// await lets the producers go on until node 1 tells of the partition what it should, or for
// a while.
func (l *load) await(limit env.Time, done func(*api.PartitionInfo) bool) (so bool) {
	asked, steps := uint64(0), 0
	l.world.Run(l.world.Agenda.Now()+limit, func() bool {
		if r := l.client.answers[asked]; r != nil {
			so = done(r.GetMetadata().GetTopics()[0].GetPartitions()[0])
			asked = 0
		}
		if steps++; steps%5 == 0 {
			l.pump()
		}
		if asked == 0 && steps%1000 == 0 {
			asked = l.send(&api.Request{Body: &api.Request_Metadata{Metadata: &api.MetadataRequest{}}})
		}
		return so
	})
	return so
}

// A replica on a long way is always behind by what is under way, which under load is much:
// it gets its vote all the same, and can be made the leader.
func TestMoveUnderLoad(t *testing.T) {
	c := newCluster(t, 44, three...)
	c.full(three...)
	c.start("n4:1", func(cfg *broker.Config) { cfg.Join = three })
	c.waitFor("four nodes", func() bool { return len(c.metadata(three...).GetNodes()) == 4 })
	for _, name := range append([]env.Endpoint{"n4:1"}, three...) {
		c.hosts[name].Kill()
		c.start(name, func(cfg *broker.Config) { cfg.Tick = 10 * env.Millisecond })
	}
	c.elect(1, three...)
	c.world.StartFault(1, netsim.Fault{
		Sides: netsim.Isolate("n4:1", []string{"n1:1", "n2:1", "n3:1"}), Worse: netsim.Profile{Latency: netsim.Time(10 * env.Millisecond)},
	})
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_MoveReplica{MoveReplica: &api.MoveReplicaRequest{Topic: topic("t"), From: 2, To: 4}}}
	}, three...)
	l := &load{cluster: c, leader: 1, data: records(t, batch.NoProducer, "x")}
	begun := c.world.Agenda.Now()
	moved := l.await(2*env.Second, func(p *api.PartitionInfo) bool {
		return len(p.GetReplicas()) == 3 && !slices.ContainsFunc(p.GetReplicas(), func(r *api.ReplicaInfo) bool { return r.GetAdding() || r.GetRemoving() })
	})
	took := c.world.Agenda.Now() - begun
	if rate := int64(l.acked) * int64(env.Second) / int64(took); !moved || rate < 6400 {
		t.Fatalf("in %d ms under a load of %d batches a second the replica has moved (%t)", took/env.Millisecond, rate, moved)
	}
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_ElectLeader{ElectLeader: &api.ElectLeaderRequest{Topic: topic("t"), Node: 4}}}
	}, three...)
	if !l.await(2*env.Second, func(p *api.PartitionInfo) bool { return p.GetLeader() == 4 }) {
		t.Error("the replica that has moved is not made the leader")
	}
	c.expectFine()
}
