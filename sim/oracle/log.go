package oracle

import (
	"bytes"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/partition"
	"github.com/reprise-mq/reprise/broker/segment"
	"github.com/reprise-mq/reprise/sim/digest"
	"github.com/reprise-mq/reprise/sim/disk"
)

// group is what is known of one raft group.
type group struct {
	id      api.GroupID
	reigns  []reign // by term
	ballots map[ballot]api.ReplicaID
	// entries that some replica has applied, from index 2 on; the first state
	// frame stands at index 1.
	entries []entry
	machine machine
	// heads are the state frames that were seen, by their index.
	heads map[api.Index]head
	// records finds entries by their base offset, which ascends.
	records []located
	kept    kept
}

// entry is one committed entry and what the log amounts to after it.
type entry struct {
	frame segment.Frame
	state string            // fingerprint of the machine's state
	conf  *raftpb.ConfState // the configuration; shared where it did not change
	// inner: some replica has it in one segment with the entry before it, so no
	// replica may begin a segment between the two.
	inner bool
}

// head is a state frame: its bytes are equal on all replicas.
type head struct {
	data []byte
	host string
}

type located struct {
	base  api.Offset
	count int32
	index api.Index
}

// firstIndex is where the first state frame of every group stands.
const firstIndex api.Index = 1

func (o *Oracle) group(id api.GroupID) *group {
	g := o.groups[id]
	if g == nil {
		g = &group{id: id, ballots: make(map[ballot]api.ReplicaID), heads: make(map[api.Index]head)}
		o.groups[id] = g
	}
	return g
}

// last is the index of the last committed entry, 0 if none is known.
func (g *group) last() api.Index {
	if g.machine.isNew() {
		return 0
	}
	return firstIndex + api.Index(len(g.entries))
}

func (g *group) at(index api.Index) *entry { return &g.entries[index-firstIndex-1] }

// term of a committed entry; index is from 1 to last.
func (g *group) term(index api.Index) api.Term {
	if index == firstIndex {
		return 1
	}
	return g.at(index).frame.Term
}

// conf is the configuration after an entry.
func (g *group) conf(index api.Index) *raftpb.ConfState {
	if index <= firstIndex {
		return g.machine.firstConf
	}
	return g.at(min(index, g.last())).conf
}

// state is the fingerprint of the machine's state after an entry.
func (g *group) state(index api.Index) string {
	if index <= firstIndex {
		return g.machine.firstState
	}
	return g.at(index).state
}

// find gives the index of the entry with the record at an offset.
func (g *group) find(offset api.Offset) (api.Index, bool) {
	i, ok := slices.BinarySearchFunc(g.records, offset, func(l located, o api.Offset) int {
		switch {
		case o < l.base:
			return 1
		case o >= l.base+api.Offset(l.count):
			return -1
		}
		return 0
	})
	if !ok {
		return 0, false
	}
	return g.records[i].index, true
}

// readSegment reads the frames that a file has beyond what was read of it. live
// says that a process has just written them; otherwise a crash has left them.
func (o *Oracle) readSegment(h *host, name string, live bool) {
	id, _ := segmentOf(name)
	g := o.group(id)
	data := h.disk.Contents(name)[h.parsed[name].bytes:]
	for len(data) > 0 && !o.over() {
		frame, rest, err := segment.DecodeFrame(id, data)
		if err != nil {
			return // the rest of it may come with the next write
		}
		at := h.parsed[name]
		if at.bytes == 0 && frame.Kind != segment.KindState {
			if h.disk.Ill() {
				return // its disk has not taken the state frame; a sync says so
			}
			o.fail(LogMismatch, "%s: %s does not begin with a state frame", h.name, name)
			return
		}
		o.frame(h, g, &frame, live)
		if at.entries && !o.over() && frame.Index <= g.last() {
			o.inner(h, g, frame.Index)
		}
		h.parsed[name] = extent{at.bytes + int64(len(data)-len(rest)), frame.Kind != segment.KindState}
		data = rest
	}
}

// rewrite holds what is written into the middle of a file, to mend it, against the log:
// these are the frames that stood there, each whole.
func (o *Oracle) rewrite(h *host, op disk.Operation) {
	if op.Position+int64(len(op.Data)) >= int64(len(h.disk.Contents(op.Name))) {
		return
	}
	id, _ := segmentOf(op.Name)
	for data := op.Data; len(data) > 0 && !o.over(); {
		frame, rest, err := segment.DecodeFrame(id, data)
		if err != nil {
			o.fail(LogMismatch, "%s: what is written over %s at %d is no frame: %v", h.name, op.Name, op.Position, err)
			return
		}
		o.frame(h, o.group(id), &frame, false)
		data = rest
	}
}

// inner takes note that a replica has an entry in one segment with the entry
// before it.
func (o *Oracle) inner(h *host, g *group, index api.Index) {
	g.at(index).inner = true
	if known, ok := g.heads[index-1]; ok {
		o.fail(ReplicaMismatch, "%s: group %d goes on from entry %d to %d in one segment, and %s began one there",
			h.name, g.id, index-1, index, known.host)
	}
}

// frame holds one frame of a replica against the log. A frame beyond the log's end
// continues it, if the replica is live: what a crash left of a life must have been
// seen when that life wrote it.
func (o *Oracle) frame(h *host, g *group, f *segment.Frame, live bool) {
	o.stats.Frames++
	if f.Kind == segment.KindState {
		o.head(h, g, f)
		return
	}
	switch last := g.last(); {
	case last == 0:
		o.fail(LogMismatch, "%s: entry %d of group %d, of which no first state frame is known", h.name, f.Index, g.id)
	case f.Index <= last:
		o.same(h, g, f)
	case f.Index > last+1 && h.disk.Ill():
		// Its disk has not taken the frame before. The sync that will say so is to come, or
		// has ended the life that wrote this one.
	case f.Index > last+1 || !live:
		o.fail(LogMismatch, "%s: entry %d of group %d, whose log ends at %d", h.name, f.Index, g.id, last)
	default:
		o.extend(h, g, f)
	}
}

// same holds a frame against the one that was committed at its index first.
func (o *Oracle) same(h *host, g *group, f *segment.Frame) {
	if f.Index <= firstIndex {
		o.fail(LogMismatch, "%s: an entry of group %d at index %d, where the first state stands", h.name, g.id, f.Index)
		return
	}
	known := &g.at(f.Index).frame
	if known.Term != f.Term || known.Type != f.Type || !bytes.Equal(known.Data, f.Data) {
		o.fail(LogMismatch, "%s: entry %d of group %d is of term %d with %d bytes (%s), another replica's or life's of term %d with %d bytes (%s)",
			h.name, f.Index, g.id, f.Term, len(f.Data), fingerprint(f.Data), known.Term, len(known.Data), fingerprint(known.Data))
		return
	}
	if known.Kind != f.Kind || known.Base != f.Base || known.Count != f.Count {
		o.fail(OffsetMismatch, "%s: entry %d of group %d holds %d records from offset %d, on another replica or in another life %d from %d",
			h.name, f.Index, g.id, f.Count, f.Base, known.Count, known.Base)
	}
}

// extend adds a committed entry, and holds its offsets against the reference.
func (o *Oracle) extend(h *host, g *group, f *segment.Frame) {
	if f.Term < g.term(g.last()) {
		o.fail(LogMismatch, "%s: entry %d of group %d is of term %d, after one of term %d", h.name, f.Index, g.id, f.Term, g.term(g.last()))
	}
	kept := *f
	kept.Data = bytes.Clone(f.Data)
	_, base := g.machine.bounds()
	conf := g.conf(g.last())
	count := int32(0)
	if f.Type == raftpb.EntryNormal {
		count = g.machine.apply(kept.Data)
	} else {
		next, err := changed(conf, &kept)
		if err != nil {
			o.fail(ConfMismatch, "%s: entry %d of group %d changes the configuration in an impossible way: %v", h.name, f.Index, g.id, err)
			return
		}
		o.checkMembers(g, f.Index, conf, next)
		conf = next
	}
	if f.Base != base || f.Count != count || (f.Kind == segment.KindRecords) != (count > 0) {
		o.fail(OffsetMismatch, "%s: entry %d of group %d holds %d records from offset %d; by the log before it, it has %d from %d",
			h.name, f.Index, g.id, f.Count, f.Base, count, base)
	}
	if count > 0 {
		g.records = append(g.records, located{base: base, count: count, index: f.Index})
	}
	g.entries = append(g.entries, entry{frame: kept, state: fingerprint(g.machine.save()), conf: conf})
	o.checkRetention(g, &kept)
	if len(g.reigns) == 0 { // a replica without others sends nobody what it takes
		o.checkBound(h, g, f.Index, kept.Data)
	}
	if g.id == api.MetaGroup {
		o.noteTopics()
	}
}

// head holds a state frame against the reference, or begins with it.
func (o *Oracle) head(h *host, g *group, f *segment.Frame) {
	if g.machine.isNew() {
		if f.Index != firstIndex || f.Term != 1 {
			o.fail(LogMismatch, "%s: group %d begins with a state frame at index %d of term %d", h.name, g.id, f.Index, f.Term)
			return
		}
		g.kept.began = o.world.Now()
		if err := g.machine.begin(g.id, f); err != nil {
			o.fail(LiveReplay, "%s: the first state frame of group %d: %v", h.name, g.id, err)
			return
		}
	}
	if f.Index > g.last() && h.disk.Ill() {
		return // its disk has not taken the entry before
	}
	if f.Index > g.last() {
		o.fail(LogMismatch, "%s: a state frame of group %d at index %d, whose log ends at %d", h.name, g.id, f.Index, g.last())
		return
	}
	if known, ok := g.heads[f.Index]; ok {
		if !bytes.Equal(known.data, f.Data) {
			o.fail(ReplicaMismatch, "%s: the state frame of group %d at index %d is another than on %s: %s",
				h.name, g.id, f.Index, known.host, differing(f.Data, known.data))
		}
		return
	}
	g.heads[f.Index] = head{data: bytes.Clone(f.Data), host: string(h.name)}
	if f.Index < g.last() && g.at(f.Index+1).inner {
		o.fail(ReplicaMismatch, "%s: group %d begins a segment after entry %d, and another replica goes on in one",
			h.name, g.id, f.Index)
		return
	}
	st, err := decodeState(f.Data)
	switch {
	case err != nil:
		o.fail(LiveReplay, "%s: the state frame of group %d at index %d does not decode", h.name, g.id, f.Index)
	case f.Term != g.term(f.Index) || f.Base != g.nextAfter(f.Index):
		o.fail(OffsetMismatch, "%s: the state frame of group %d at index %d says term %d, next offset %d; the log term %d, offset %d",
			h.name, g.id, f.Index, f.Term, f.Base, g.term(f.Index), g.nextAfter(f.Index))
	case fingerprint(st.machine) != g.state(f.Index):
		o.fail(LiveReplay, "%s: the state frame of group %d at index %d is not what the log up to there amounts to", h.name, g.id, f.Index)
	case !sameConf(st.conf, g.conf(f.Index)):
		o.fail(ConfMismatch, "%s: the state frame of group %d at index %d has configuration %s, the log %s",
			h.name, g.id, f.Index, confText(st.conf), confText(g.conf(f.Index)))
	}
}

// differing says in which part two state frames differ.
func differing(a, b []byte) string {
	x, errX := decodeState(a)
	y, errY := decodeState(b)
	switch {
	case errX != nil || errY != nil:
		return "one does not decode"
	case !bytes.Equal(x.machine, y.machine):
		return fmt.Sprintf("%d and %d bytes of the machine's state", len(x.machine), len(y.machine))
	case !sameConf(x.conf, y.conf):
		return fmt.Sprintf("%s; %s", confText(x.conf), confText(y.conf))
	}
	return fmt.Sprintf("the terms that began before: %v and %v", x.starts, y.starts)
}

// nextAfter is the offset after an entry.
func (g *group) nextAfter(index api.Index) api.Offset {
	if index <= firstIndex {
		return 0
	}
	f := &g.at(index).frame
	return f.Base + api.Offset(f.Count)
}

// Batches calls f with every batch of records that the group has committed.
func (o *Oracle) Batches(id api.GroupID, f func(base api.Offset, batch []byte)) {
	g := o.groups[id]
	if g == nil || g.machine.partition == nil {
		return
	}
	for _, l := range g.records {
		batch, ok := partition.Batch(g.at(l.index).frame.Data)
		if !ok {
			panic(fmt.Sprintf("oracle: entry %d of group %d took offsets and is no batch", l.index, id))
		}
		f(l.base, batch)
	}
}

// fingerprint of bytes, for people too.
func fingerprint(b []byte) string {
	d := digest.New(nil)
	d.Note(0, "", "", 0, b)
	return d.String()[:16]
}
