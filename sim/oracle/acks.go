package oracle

import (
	"bytes"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/partition"
)

// callKey names a client's request: its connection, and the number there.
type callKey struct {
	connection env.Endpoint
	id         uint64
}

// request remembers what a produce is for.
func (o *Oracle) request(from, to env.Endpoint, r *api.Request) {
	if p := r.GetProduce(); p != nil && o.hosts[to] != nil && o.hosts[from] == nil {
		o.calls[callKey{from, r.GetId()}] = p
	}
}

// ack is an acknowledgement on its way out.
type ack struct {
	from   env.Endpoint
	group  api.GroupID
	offset api.Offset
	batch  []byte
}

// Returned is part of world.Watcher: acknowledgements that were sent in the call
// that has ended have left now.
func (o *Oracle) Returned() {
	if len(o.acks) == 0 {
		return
	}
	due := append(o.early, o.acks...)
	o.early = nil
	for _, a := range due {
		if o.deleted(a.group) {
			continue
		}
		if _, known := o.group(a.group).find(a.offset); !known && o.hosts[a.from].disk.Ill() {
			o.early = append(o.early, a)
			continue
		}
		fine := o.first == nil
		o.acknowledged(&a)
		if fine && o.first != nil {
			o.first.Record = &Record{Group: a.group, Offset: a.offset, Batch: a.batch}
		}
	}
	o.acks = o.acks[:0]
}

// Ended is called once every replica has the whole log: no acknowledgement waits for
// it any more.
func (o *Oracle) Ended() {
	for _, a := range o.early {
		if !o.deleted(a.group) {
			o.acknowledged(&a)
		}
	}
	o.early = nil
}

// deleted reports whether a partition is gone: while an acknowledgement waits for the log
// to show it, its topic may be deleted.
func (o *Oracle) deleted(id api.GroupID) bool {
	m := o.Meta()
	return m == nil || m.PartitionOf(id) == nil
}

// response takes note of an acknowledgement.
func (o *Oracle) response(from, to env.Endpoint, r *api.Response) {
	key := callKey{to, r.GetId()}
	q := o.calls[key]
	delete(o.calls, key)
	p := r.GetProduce()
	if q == nil || p == nil || r.GetError() != nil {
		return
	}
	part := o.partition(q.GetTopic(), q.GetPartition())
	switch {
	case part == nil && o.known(api.TopicID(q.GetTopic().GetId())) != nil:
		return // deleted since, of which that leader has not heard
	case part == nil:
		o.fail(AckNotCommitted, "%s acknowledges a produce to %v/%d, a partition that meta does not know",
			from, q.GetTopic().GetName(), q.GetPartition())
		return
	}
	o.acks = append(o.acks, ack{from, part.Group, api.Offset(p.GetBaseOffset()), q.GetBatch()})
}

// acknowledged holds an acknowledgement to what stands at its offset, and that to
// being on the platters of a majority of the voters. Where the configuration has changed at the entry or since (an
// answer may be a retry's), it is enough to be so under one of them.
func (o *Oracle) acknowledged(a *ack) {
	o.stats.Acks++
	g := o.group(a.group)
	index, ok := g.find(a.offset)
	if !ok {
		o.fail(AckNotCommitted, "%s acknowledges offset %d of group %d, which no replica has applied", a.from, a.offset, g.id)
		return
	}
	if f := &g.at(index).frame; f.Base != a.offset || !sameBatch(f.Data, a.batch) {
		o.fail(AckMismatch, "%s acknowledges offset %d of group %d, and entry %d there holds another batch, from offset %d",
			a.from, a.offset, g.id, index, f.Base)
		return
	}
	var tried *raftpb.ConfState
	for i := g.last(); i >= firstIndex; i-- {
		c := g.conf(i)
		if c == tried {
			continue
		}
		if tried = c; o.durableUnder(g, index, c) {
			return
		}
		if i < index {
			break
		}
	}
	o.fail(AckNotDurable, "%s acknowledges offset %d of group %d, entry %d of term %d, which is on the platters of %v only; %s",
		a.from, a.offset, g.id, index, g.term(index), o.holders(g, index), confText(g.conf(g.last())))
}

// sameBatch reports whether an entry holds a batch as it was sent.
func sameBatch(entry, sent []byte) bool {
	batch, ok := partition.Batch(entry)
	return ok && bytes.Equal(batch, sent)
}

// durableUnder reports whether an entry would survive every power failing now.
func (o *Oracle) durableUnder(g *group, index api.Index, c *raftpb.ConfState) bool {
	for _, half := range [][]uint64{c.GetVoters(), c.GetVotersOutgoing()} {
		have := 0
		for _, voter := range half {
			if o.replicaHolds(g, api.ReplicaID(voter), index) {
				have++
			}
		}
		if len(half) > 0 && have <= len(half)/2 {
			return false
		}
	}
	return true
}

// replicaHolds reports whether a replica has an entry on its platter, or had it when that was
// lost. Of a journal that lost a file, what is left says less than it had.
func (o *Oracle) replicaHolds(g *group, replica api.ReplicaID, index api.Index) bool {
	for _, h := range o.order {
		for _, im := range []*image{h.durable.image(g.id), h.lost[g.id]} {
			if im != nil && im.replica == replica && im.holds(index, g.term(index)) {
				return true
			}
		}
	}
	return false
}

// holders names the hosts that have an entry on their platters.
func (o *Oracle) holders(g *group, index api.Index) []env.Endpoint {
	var names []env.Endpoint
	for _, h := range o.order {
		if im := h.durable.image(g.id); im != nil && im.replica != 0 && im.holds(index, g.term(index)) {
			names = append(names, h.name)
		}
	}
	return names
}

// Meta is the state of the meta group as of its last committed entry, nil before
// there is one. It must not be changed.
func (o *Oracle) Meta() *meta.State {
	if g := o.groups[api.MetaGroup]; g != nil {
		return g.machine.meta
	}
	return nil
}

// partition finds what a request is for.
func (o *Oracle) partition(ref *api.TopicRef, number int32) *meta.Partition {
	state := o.Meta()
	if state == nil {
		return nil
	}
	p, err := state.Resolve(ref, number)
	if err != nil {
		return nil
	}
	return p
}
