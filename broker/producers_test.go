package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/sim/disk"
)

func producersOf(name string, partition, most int32) *api.Request {
	return &api.Request{Body: &api.Request_DescribeProducers{DescribeProducers: &api.DescribeProducersRequest{
		Topic: topic(name), Partition: partition, Max: most,
	}}}
}

// told says what a node tells of producers, but for how long they have been idle.
func told(r *api.DescribeProducersResponse) (words string) {
	for _, p := range r.GetProducers() {
		words += fmt.Sprintf("%d/%d at %d, offset %d; ", p.GetProducerId(), p.GetEpoch(), p.GetLastSequence(), p.GetLastOffset())
	}
	return words + fmt.Sprintf("%d known", r.GetKnown())
}

// What is told of producers is the same from every leader, and after a restart; it counts
// what was appended, whoever was answered; and it goes by use.
func TestDescribeProducers(t *testing.T) {
	c := newCluster(t, 70, three...)
	c.full(three...)
	describe := func(most int32) *api.DescribeProducersResponse {
		return c.ok(func() *api.Request { return producersOf("t", 0, most) }, three...).GetDescribeProducers()
	}
	if got := told(describe(0)); got != "0 known" {
		t.Errorf("of an empty partition: %s", got)
	}
	send := func(id api.ProducerID, epoch api.Epoch, sequence api.Sequence, values ...string) {
		data := records(t, batch.Producer{ID: id, Epoch: epoch, Sequence: sequence}, values...)
		c.ok(func() *api.Request { return produce("t", 0, data) }, three...)
	}
	send(7, 0, 0, "a", "b", "c")
	send(8, 2, 0, "d")
	c.settle(func() *api.Request { return produce("t", 0, records(t, batch.NoProducer, "e")) }, three...)
	send(7, 0, 3, "f")
	c.run(5 * env.Second)
	send(8, 2, 1, "g")
	send(7, 0, 3, "f") // again, which is no use
	const want = "8/2 at 1, offset 6; 7/0 at 3, offset 5; 2 known"
	if got := describe(0); told(got) != want || got.Producers[1].GetIdleMs() < 5000 || got.Producers[0].GetIdleMs() > 1000 {
		t.Errorf("told %v, want %s", got, want)
	}
	if got := told(describe(1)); got != "8/2 at 1, offset 6; 2 known" {
		t.Errorf("of one: %s", got)
	}
	for id := range uint64(3) {
		c.elect(id+1, three...)
		if got := told(describe(0)); got != want {
			t.Errorf("node %d tells %s, want %s", id+1, got, want)
		}
	}
	for _, name := range three {
		c.hosts[name].Crash(disk.Crash{Lose: 100})
		c.start(name, func(*broker.Config) {})
	}
	if got := told(describe(0)); got != want {
		t.Errorf("after a restart of all: %s, want %s", got, want)
	}
	c.expectFine()
}

// A leader that is cut off tells nothing of producers, for it may be none.
func TestDescribeProducersIsLinearizable(t *testing.T) {
	c := newCluster(t, 71, three...)
	c.full(three...)
	c.elect(1, three...)
	first := records(t, batch.Producer{ID: 7}, "a")
	c.ok(func() *api.Request { return produce("t", 0, first) }, three...)
	c.world.StartFault(1, netsim.Fault{Sides: netsim.Isolate(string(three[0]), []string{string(three[1]), string(three[2])}), Cut: true})
	c.client.last++
	q := producersOf("t", 0, 0)
	q.Id = c.client.last
	c.client.network.Send(three[0], &api.Message{Body: &api.Message_Request{Request: q}})
	c.run(20 * env.Millisecond)
	if r := c.client.answers[q.Id]; r != nil {
		t.Errorf("the leader answers before anybody has confirmed it: %v", r)
	}
	second := records(t, batch.Producer{ID: 7, Sequence: 1}, "b")
	c.ok(func() *api.Request { return produce("t", 0, second) }, three[1:]...)
	c.run(5 * env.Second)
	if r := c.client.answers[q.Id]; r.GetError().GetCode() != api.Code_NOT_LEADER {
		t.Errorf("a leader that was replaced answers %v", r)
	}
	c.world.HealFault(1)
	if got := told(c.ok(func() *api.Request { return producersOf("t", 0, 0) }, three...).GetDescribeProducers()); got != "7/0 at 1, offset 1; 1 known" {
		t.Errorf("told %s", got)
	}
	c.expectFine()
}

// Who repeats itself, or writes under an epoch that is over, is answered and adds nothing to
// the log, where retention would know nothing of it.
func TestPastBatchesTakeNoRoom(t *testing.T) {
	c := newCluster(t, 7, lone)
	c.settle(func() *api.Request { return createTopic("t", 1) }, lone)
	now := records(t, batch.Producer{ID: 7, Epoch: 3}, "a")
	base := c.ok(func() *api.Request { return produce("t", 0, now) }, lone).GetProduce().GetBaseOffset()
	old := records(t, batch.Producer{ID: 7, Epoch: 1}, strings.Repeat("x", 8000))
	for range 20 {
		if code := c.ask(lone, produce("t", 0, old)).GetError().GetCode(); code != api.Code_PRODUCER_FENCED {
			t.Fatalf("an epoch that is over is answered %v", code)
		}
		if r := c.ask(lone, produce("t", 0, now)); r.GetError() != nil || r.GetProduce().GetBaseOffset() != base {
			t.Fatalf("a batch that is repeated is answered %v", r)
		}
	}
	bytes := 0
	for _, data := range c.segments(lone, 1) {
		bytes += len(data)
	}
	if bytes > 8000 {
		t.Errorf("the log has %d bytes", bytes)
	}
}
