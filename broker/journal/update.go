package journal

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
)

// HardState is what raft must not forget: the term, who has its vote there, and
// as a help after a restart how far the log was known to be committed.
type HardState struct {
	Term   api.Term
	Vote   api.ReplicaID
	Commit api.Index
}

// Install says that a replica starts, or starts over from a copied log: it names
// the live folder of its segments, and the log goes on at Index+1. It voids the
// group's earlier entries, checkpoint and commit index, not its term and vote.
type Install struct {
	Replica api.ReplicaID
	Folder  uint64
	Index   api.Index
	Term    api.Term
}

// Checkpoint says that the group's segment files are synced up to Length bytes of
// the one named Segment, which is the log up to Index: no entry there is needed
// any more.
type Checkpoint struct {
	Index   api.Index
	Segment api.Index
	Length  int64
}

// Update is what one group asks to make durable together. Its fields take effect
// in their order, and never one without the others.
type Update struct {
	Group api.GroupID
	// anew: no earlier update of the group counts. The journal sets it where it
	// begins an image or writes one again.
	anew    bool
	Install *Install
	Hard    *HardState
	// Entries are consecutive; they replace whatever stood at or above the first
	// one's index.
	Entries    []*raftpb.Entry
	Checkpoint *Checkpoint
	// Destroyed, if not 0, is an incarnation that is gone for good. The image is
	// emptied unless a newer incarnation lives in it; the mark stays.
	Destroyed api.ReplicaID
	// Forget: the group's topic is gone, and with it every mark.
	Forget bool
}

// Bits of a record's field byte.
const (
	hasInstall = 1 << iota
	hasHard
	hasEntries
	hasCheckpoint
	hasDestroyed
	hasForget
	hasAnew
)

// minEntry is the least an entry takes: term, type, length.
const minEntry = 3

func (u *Update) fields() byte {
	var fields byte
	set := func(bit byte, on bool) {
		if on {
			fields |= bit
		}
	}
	set(hasInstall, u.Install != nil)
	set(hasHard, u.Hard != nil)
	set(hasEntries, len(u.Entries) > 0)
	set(hasCheckpoint, u.Checkpoint != nil)
	set(hasDestroyed, u.Destroyed != 0)
	set(hasForget, u.Forget)
	set(hasAnew, u.anew)
	return fields
}

// append encodes the update as one record.
func (u *Update) append(b []byte) []byte {
	b = codec.AppendUvarint(b, uint64(u.Group))
	b = append(b, u.fields())
	if in := u.Install; in != nil {
		b = codec.AppendUvarint(b, uint64(in.Replica))
		b = codec.AppendUvarint(b, in.Folder)
		b = codec.AppendUvarint(b, uint64(in.Index))
		b = codec.AppendUvarint(b, uint64(in.Term))
	}
	if hard := u.Hard; hard != nil {
		b = codec.AppendUvarint(b, uint64(hard.Term))
		b = codec.AppendUvarint(b, uint64(hard.Vote))
		b = codec.AppendUvarint(b, uint64(hard.Commit))
	}
	if len(u.Entries) > 0 {
		b = appendEntries(b, u.Entries)
	}
	if c := u.Checkpoint; c != nil {
		b = codec.AppendUvarint(b, uint64(c.Index))
		b = codec.AppendUvarint(b, uint64(c.Segment))
		b = codec.AppendUvarint(b, uint64(c.Length))
	}
	if u.Destroyed != 0 {
		b = codec.AppendUvarint(b, uint64(u.Destroyed))
	}
	return b
}

func appendEntries(b []byte, entries []*raftpb.Entry) []byte {
	b = codec.AppendUvarint(b, uint64(len(entries)))
	b = codec.AppendUvarint(b, entries[0].GetIndex())
	for _, e := range entries {
		b = codec.AppendUvarint(b, e.GetTerm())
		b = append(b, byte(e.GetType()))
		b = codec.AppendBytes(b, e.GetData())
	}
	return b
}

// decodeUpdate reads one record; it is good if ok, and r.Err is nil.
func decodeUpdate(r *codec.Reader) (u Update, ok bool) {
	u.Group = api.GroupID(r.Uvarint())
	fields := r.Byte()
	u.anew = fields&hasAnew != 0
	if fields&hasInstall != 0 {
		u.Install = &Install{
			Replica: api.ReplicaID(r.Uvarint()), Folder: r.Uvarint(),
			Index: api.Index(r.Uvarint()), Term: api.Term(r.Uvarint()),
		}
	}
	if fields&hasHard != 0 {
		u.Hard = &HardState{
			Term: api.Term(r.Uvarint()), Vote: api.ReplicaID(r.Uvarint()), Commit: api.Index(r.Uvarint()),
		}
	}
	if fields&hasEntries != 0 {
		u.Entries = decodeEntries(r)
	}
	if fields&hasCheckpoint != 0 {
		u.Checkpoint = &Checkpoint{
			Index: api.Index(r.Uvarint()), Segment: api.Index(r.Uvarint()), Length: int64(r.Uvarint()),
		}
	}
	if fields&hasDestroyed != 0 {
		u.Destroyed = api.ReplicaID(r.Uvarint())
	}
	u.Forget = fields&hasForget != 0
	return u, u.fields() == fields
}

// decodeEntries makes all entries of a record in one piece of memory.
func decodeEntries(r *codec.Reader) []*raftpb.Entry {
	n := r.Count(minEntry)
	index := r.Uvarint()
	if r.Err() != nil || n == 0 {
		return nil
	}
	cells := make([]struct {
		entry       raftpb.Entry
		index, term uint64
		kind        raftpb.EntryType
	}, n)
	entries := make([]*raftpb.Entry, n)
	for i := range cells {
		c := &cells[i]
		c.index, c.term, c.kind = index+uint64(i), r.Uvarint(), raftpb.EntryType(r.Byte())
		c.entry.Index, c.entry.Term, c.entry.Type = &c.index, &c.term, &c.kind
		if data := r.Bytes(); len(data) > 0 {
			c.entry.Data = data
		}
		entries[i] = &c.entry
	}
	return entries
}
