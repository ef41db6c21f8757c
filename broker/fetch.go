package broker

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/partition"
	"github.com/reprise-mq/reprise/broker/segment"
)

// Bounds of a fetch.
const (
	maxFetchBytes = 8 << 20
	maxFetchWait  = 30 * env.Second
	// Fetches of one group that wait for records.
	maxPolls = 16384
)

// poll is a fetch. That there were no records at its offset was confirmed by a quorum
// after it was asked, so it may wait for some, and say so when its time is up.
type poll struct {
	caller   caller
	group    *group
	offset   api.Offset
	maxBytes int
	minBytes int
	// Enough may be there once so many bytes were appended, by the group's count.
	enough int64
	// It is one of the group's polls.
	waits bool
	// Its time is up: what is there now is the answer, be it nothing.
	late bool
	// Records are being read, or will be, once at a time; growth meanwhile is looked at
	// afterwards.
	reading bool
	// It was answered, or nobody waits for the answer any more.
	done bool
}

// fetch answers with committed records, or, once its wait is over, that there are
// none: a statement as strong as any, made after a quorum has confirmed the leader.
func (n *Node) fetch(c caller, q *api.FetchRequest) {
	refuse := func(e *api.Error) { n.refuse(c, e) }
	if q.GetOffset() < 0 || q.GetMaxBytes() < 0 || q.GetMinBytes() < 0 || q.GetMaxWaitMs() < 0 {
		refuse(api.Errorf(api.Code_INVALID_REQUEST,
			"fetch of %s/%d at offset %d with max bytes %d, min bytes %d, max wait %d ms: none may be negative",
			q.GetTopic().GetName(), q.GetPartition(), q.GetOffset(), q.GetMaxBytes(), q.GetMinBytes(), q.GetMaxWaitMs()))
		return
	}
	n.withLog(q.GetTopic(), q.GetPartition(), refuse, func(g *group) {
		p := &poll{
			caller: c, group: g, offset: api.Offset(q.GetOffset()),
			maxBytes: bound(int(q.GetMaxBytes()), maxFetchBytes),
			minBytes: max(int(q.GetMinBytes()), 1),
		}
		p.minBytes = min(p.minBytes, p.maxBytes)
		wait := min(env.Time(q.GetMaxWaitMs())*env.Millisecond, maxFetchWait)
		if g.replica.Serves() && p.offset < g.partition.state.End() && p.minBytes == 1 {
			p.late = true
			p.look()
			return
		}
		g.replica.Read(func(err error) { p.begin(err, wait) })
	})
}

func bound(asked, limit int) int {
	if asked == 0 {
		return limit
	}
	return min(asked, limit)
}

// begin goes on once the leader is confirmed: answer, or wait.
func (p *poll) begin(err error, wait env.Time) {
	g := p.group
	if err != nil {
		p.refuse(g.node.unread(g.id, err))
		return
	}
	if end := g.partition.state.End(); p.offset > end {
		p.refuse(outOfRange(g, p.offset))
		return
	}
	if wait == 0 || len(g.polls) >= maxPolls {
		p.late = true
		p.look()
		return
	}
	p.waits = true
	g.polls = append(g.polls, p)
	p.look()
	g.node.timers.at(g.node.world.Clock.Now()+wait, func() {
		p.late = true
		p.look()
	})
}

// look answers if enough is there now, or the wait is over.
func (p *poll) look() {
	state := p.group.partition.state
	switch {
	case p.done || p.reading:
	case p.offset < state.LogStart():
		p.refuse(outOfRange(p.group, p.offset))
	case !p.late && p.group.appended < p.enough:
	case p.offset < state.End():
		p.reading = true
		p.group.node.admit(p)
	case p.late:
		p.answer(nil)
	}
}

// read gathers whole batches from the offset on, with their offsets put in. If they are
// not enough though more are there, the read ended where a segment does, or there is no
// room for the next, and to wait would bring nothing.
// over is called when what was read is needed no more.
func (p *poll) read(over func()) {
	store, end, appended := p.group.replica.Store(), p.group.partition.state.End(), p.group.appended
	if !p.group.keeps(store) || p.offset < p.group.partition.state.LogStart() {
		over()
		p.failed(store) // while it waited for its turn
		return
	}
	store.Read(p.offset, p.maxBytes, func(frames []segment.Frame, err error) {
		over()
		p.reading = false
		if err != nil {
			p.failed(store)
			return
		}
		batches, next := join(frames, p.maxBytes)
		if p.late || len(batches) >= p.minBytes || next < end {
			p.answer(batches)
			return
		}
		p.enough = appended + int64(p.minBytes-len(batches))
		p.look()
	})
}

// failed refuses what could not be read.
func (p *poll) failed(store *segment.Store) {
	switch {
	case !p.group.keeps(store):
		p.refuse(p.group.node.notLeader(p.group.id))
	case p.offset < p.group.partition.state.LogStart():
		p.refuse(outOfRange(p.group, p.offset))
	default:
		p.refuse(p.group.unreadable(p.offset))
	}
}

// join copies the batches of some frames, the first in any case, and then as many
// as fit, and says which offset follows them; a batch's own offset says 0 until here.
func join(frames []segment.Frame, limit int) (out []byte, next api.Offset) {
	for _, frame := range frames {
		data, ok := partition.Batch(frame.Data)
		if !ok {
			panic("broker: a record frame without a batch")
		}
		if len(out) > 0 && len(out)+len(data) > limit {
			break
		}
		at := len(out)
		out = append(out, data...)
		batch.SetBaseOffset(out[at:], frame.Base)
		next = frame.Base + api.Offset(frame.Count)
	}
	return out, next
}

func (p *poll) answer(batches []byte) {
	state := p.group.partition.state
	p.finish(&api.Response{Body: &api.Response_Fetch{Fetch: &api.FetchResponse{
		Batches: batches, HighWatermark: int64(state.End()), LogStart: int64(state.LogStart()),
	}}})
}

func (p *poll) refuse(e *api.Error) { p.finish(&api.Response{Error: e}) }

// finish answers once, whatever a read that is under way will bring.
func (p *poll) finish(response *api.Response) {
	if p.done {
		return
	}
	p.done = true
	if p.waits {
		p.group.polls = slices.DeleteFunc(p.group.polls, func(other *poll) bool { return other == p })
	}
	p.group.node.reply(p.caller, response)
}

// unreadable is the answer where the log must have an offset, and the disk does not have it,
// or not as it was written.
func (g *group) unreadable(offset api.Offset) *api.Error {
	return api.Errorf(api.Code_LOG_DAMAGED, "node %d cannot read its log at offset %d, and restores it from another replica; retry after a pause",
		g.node.identity.node, offset)
}

func outOfRange(g *group, offset api.Offset) *api.Error {
	state := g.partition.state
	return api.Errorf(api.Code_OFFSET_OUT_OF_RANGE, "offset %d is outside the log, which has %d to %d; list offsets",
		offset, state.LogStart(), state.End())
}

// endPolls refuses everything that waits, for this node leads no more.
func (g *group) endPolls() {
	polls := g.polls
	g.polls = nil
	for _, p := range polls {
		p.refuse(g.node.notLeader(g.id))
	}
}

// dropPolls forgets the fetches of a client that is gone.
func (n *Node) dropPolls(peer env.Endpoint) {
	for _, g := range n.order {
		g.polls = slices.DeleteFunc(g.polls, func(p *poll) bool {
			gone := p.caller.endpoint == peer
			p.done = p.done || gone
			return gone
		})
	}
}

// settle looks after what a pump of a group has changed.
func (n *Node) settle(id api.GroupID) {
	g := n.groups[id]
	if g == nil {
		return
	}
	if id == api.MetaGroup {
		n.followMeta()
		return
	}
	if g.coordinator != nil {
		g.coordinator.settle()
		return
	}
	if g.grown {
		g.grown = false
		for _, p := range slices.Clone(g.polls) {
			p.look()
		}
	}
}

// listOffsets answers with an end of the log that a quorum has confirmed, or with where
// a time stamp is first reached.
func (n *Node) listOffsets(c caller, q *api.ListOffsetsRequest) {
	refuse := func(e *api.Error) { n.refuse(c, e) }
	var end func(*partition.State) api.Offset
	switch q.GetSpec() {
	case api.OffsetSpec_LATEST:
		end = (*partition.State).End
	case api.OffsetSpec_EARLIEST:
		end = (*partition.State).LogStart
	case api.OffsetSpec_AT_TIME:
	default:
		refuse(api.Errorf(api.Code_INVALID_REQUEST, "list offsets of spec %d: ask for LATEST (0), EARLIEST (1) or AT_TIME (2)", q.GetSpec()))
		return
	}
	n.withLog(q.GetTopic(), q.GetPartition(), refuse, func(g *group) {
		g.replica.Read(func(err error) {
			if err != nil {
				refuse(n.unread(g.id, err))
				return
			}
			if q.GetSpec() == api.OffsetSpec_AT_TIME {
				n.listAtTime(c, g, api.Milliseconds(q.GetTime()))
				return
			}
			offset := int64(end(g.partition.state))
			n.reply(c, &api.Response{Body: &api.Response_ListOffsets{ListOffsets: &api.ListOffsetsResponse{Offset: offset}}})
		})
	})
}
