package replica

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/broker/segment"
)

// storage is raft's view of the log: the journal's image for what is new, the
// segments for what is older. raft's calls must not wait, so what stands only on
// disk is loaded while raft is told to come back (ErrCompacted, and then
// ErrSnapshotTemporarilyUnavailable): the next heartbeat's answer makes it try
// again. Any other error would panic raft.
type storage struct{ r *Replica }

// loads holds one range of older entries that a follower needs.
type loads struct {
	// entries are a run that begins where raft found one missing.
	entries []*raftpb.Entry
	// running: a load is under way.
	running bool
	// used: they were asked for since the last rest.
	used bool
	// missed: the last call of Entries was answered by starting a load, so the
	// call of Snapshot that follows must not give a snapshot.
	missed bool
}

// A follower that is behind the journal takes several messages from one load.
const loadBytes = 4 * maxMessageBytes

// InitialState is what raft starts from.
func (s storage) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	hard := s.r.image.Hard
	commit := max(hard.Commit, s.r.Applied())
	state := &raftpb.HardState{
		Term:   new(uint64(hard.Term)),
		Vote:   new(uint64(hard.Vote)),
		Commit: new(uint64(commit)),
	}
	return state, s.r.conf, nil
}

// FirstIndex is the first index that could be read.
func (s storage) FirstIndex() (uint64, error) {
	if s.r.store == nil {
		return 1, nil
	}
	return uint64(s.r.store.First()) + 1, nil
}

// LastIndex is the last index that the journal was given.
func (s storage) LastIndex() (uint64, error) {
	return uint64(s.r.image.Last()), nil
}

// Term is the term of an entry from FirstIndex-1 to LastIndex.
func (s storage) Term(index uint64) (uint64, error) {
	i := api.Index(index)
	if term, ok := s.r.image.Term(i); ok {
		return uint64(term), nil
	}
	if s.r.store == nil {
		if i == 0 {
			return 0, nil
		}
		return 0, raft.ErrUnavailable
	}
	if i < s.r.store.First() {
		return 0, raft.ErrCompacted
	}
	if term, ok := s.r.store.Term(i); ok {
		return uint64(term), nil
	}
	return 0, raft.ErrUnavailable
}

// Entries gives entries from lo up to hi, or starts to load them.
func (s storage) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	r := s.r
	r.loads.missed = false
	if api.Index(lo) >= r.image.First() {
		return r.image.Entries(api.Index(lo), api.Index(hi), maxSize), nil
	}
	if r.store == nil || api.Index(lo) <= r.store.First() {
		return nil, raft.ErrCompacted
	}
	r.loads.used = true
	if !r.loads.holds(lo) {
		r.load(api.Index(lo))
	}
	if r.loads.holds(lo) {
		from := lo - r.loads.entries[0].GetIndex()
		return limit(r.loads.entries[from:], hi, maxSize), nil
	}
	r.loads.missed = true
	return nil, raft.ErrCompacted
}

// Snapshot says that the whole log up to the last applied entry can be copied, unless the
// disk has lost some of it.
func (s storage) Snapshot() (*raftpb.Snapshot, error) {
	r := s.r
	_, lacks := r.missing()
	if r.loads.missed || r.store == nil || r.changing || lacks {
		r.loads.missed = false
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return &raftpb.Snapshot{
		Data: segment.EncodeManifest(r.store.Manifest()),
		Metadata: &raftpb.SnapshotMetadata{
			Index:     new(uint64(r.store.Last())),
			Term:      new(uint64(r.appliedTerm)),
			ConfState: r.conf,
		},
	}, nil
}

func (l *loads) holds(lo uint64) bool {
	n := len(l.entries)
	return n > 0 && l.entries[0].GetIndex() <= lo && lo <= l.entries[n-1].GetIndex()
}

// load fetches entries from the segments; from their cache it answers at once.
func (r *Replica) load(lo api.Index) {
	if r.loads.running {
		return
	}
	r.loads.running = true
	store := r.store
	store.Entries(lo, loadBytes, func(entries []*raftpb.Entry, err error) {
		r.loads.running = false
		if r.closed || r.store != store {
			return
		}
		// Retention may have taken the range meanwhile; then raft will find it
		// below FirstIndex and send a snapshot.
		if err == nil {
			r.loads.entries = entries
		}
	})
}

// limit cuts a run of entries before index hi and at a size, at least one left.
func limit(entries []*raftpb.Entry, hi, maxSize uint64) []*raftpb.Entry {
	size, n := uint64(0), 0
	for _, e := range entries {
		size += uint64(proto.Size(e))
		if e.GetIndex() >= hi || n > 0 && size > maxSize {
			break
		}
		n++
	}
	return append([]*raftpb.Entry(nil), entries[:n]...)
}

func unmarshal(data []byte, m proto.Message) error {
	if err := proto.Unmarshal(data, m); err != nil {
		// The library varies its text from binary to binary.
		return fmt.Errorf("malformed %s", m.ProtoReflect().Descriptor().Name())
	}
	return nil
}

// position is the journal's word for how far the segments are synced.
func position(c journal.Checkpoint) segment.Position { return segment.Position(c) }
