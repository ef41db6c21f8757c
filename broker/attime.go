package broker

import (
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/partition"
	"github.com/reprise-mq/reprise/broker/segment"
)

const (
	// seekBytes of a log are looked at in one step.
	seekBytes = 1 << 20
	// maxSeeks bounds the searches for a time stamp that a node has under way.
	maxSeeks = 64
)

// seek looks for the first record of a partition whose time stamp is at or after a
// time. It begins when a quorum has confirmed the leader, and what is answered is true
// of the log as this node has it by then or later: so "there is none" is as strong as
// that of a fetch. The state knows the latest time stamp of each piece of the log, so
// one piece is read, and no more of a batch than its header unless it has what is
// sought.
type seek struct {
	caller caller
	group  *group
	time   api.Milliseconds
	// end is the log's when the search began: what is appended meanwhile may be left
	// out, so that the search ends.
	end api.Offset
}

func (n *Node) listAtTime(c caller, g *group, time api.Milliseconds) {
	if n.seeks >= maxSeeks {
		n.refuse(c, api.Errorf(api.Code_OVERLOADED, "node %d looks for %d time stamps already; retry after a pause", n.identity.node, n.seeks))
		return
	}
	n.seeks++
	s := &seek{caller: c, group: g, time: time, end: g.partition.state.End()}
	s.from(0)
}

// from goes on at an offset; below it is nothing.
func (s *seek) from(from api.Offset) {
	state := s.group.partition.state
	at, found := state.Seek(from, s.time)
	if !found || at >= s.end {
		s.answer(&api.ListOffsetsResponse{Offset: int64(max(s.end, state.LogStart())), LogStart: int64(state.LogStart())})
		return
	}
	store := s.group.replica.Store()
	store.Read(at, seekBytes, func(frames []segment.Frame, err error) { s.read(at, store, frames, err) })
}

func (s *seek) read(at api.Offset, store *segment.Store, frames []segment.Frame, err error) {
	start := s.group.partition.state.LogStart()
	switch {
	case err != nil && !s.group.keeps(store):
		s.refuse(s.group.node.notLeader(s.group.id))
	case at < start:
		// Deleted meanwhile; what was read may be right no more.
		s.from(start)
	case err != nil:
		s.refuse(s.group.unreadable(at))
	default:
		s.look(at, frames)
	}
}

// look goes through batches that were read.
func (s *seek) look(at api.Offset, frames []segment.Frame) {
	next := at
	for i := range frames {
		frame := &frames[i]
		data, ok := partition.Batch(frame.Data)
		if !ok {
			panic("broker: a record frame without a batch")
		}
		next = frame.Base + api.Offset(frame.Count)
		info, err := batch.Parse(data)
		if err == nil && info.MaxTimestamp < s.time {
			continue
		}
		var records []batch.Record
		if err == nil {
			records, err = batch.Records(data, s.group.node.cfg.Codecs)
		}
		if err != nil {
			// It was whole when it was accepted, and its frame is: another build of the
			// node knew a compression that this one does not.
			s.refuse(api.Errorf(api.Code_UNSUPPORTED_COMPRESSION, "the batch at offset %d cannot be read: %v", frame.Base, err))
			return
		}
		for j, r := range records {
			offset := frame.Base + api.Offset(j)
			if offset >= at && r.Timestamp >= s.time {
				s.found(offset, r.Timestamp)
				return
			}
		}
	}
	s.from(next)
}

func (s *seek) found(offset api.Offset, time api.Milliseconds) {
	s.answer(&api.ListOffsetsResponse{
		Offset: int64(offset), Found: true, Time: int64(time), LogStart: int64(s.group.partition.state.LogStart()),
	})
}

func (s *seek) answer(r *api.ListOffsetsResponse) {
	s.group.node.seeks--
	s.group.node.reply(s.caller, &api.Response{Body: &api.Response_ListOffsets{ListOffsets: r}})
}

func (s *seek) refuse(e *api.Error) {
	s.group.node.seeks--
	s.group.node.refuse(s.caller, e)
}
