package partition

import (
	"slices"
	"sort"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/codec"
)

// NoLimit stands where retention has none.
const NoLimit = -1

// Settings are what the partition's topic wants of its log. They are a part of the
// state, so that all replicas roll and give up the same.
type Settings struct {
	// Version grows with each change; 0 are those that the partition began with.
	Version uint64
	// SegmentBytes is the size at which segments are rolled.
	SegmentBytes uint64
	// RetentionTime is how long after they were appended records are kept, at least;
	// NoLimit, or at least 0.
	RetentionTime api.Milliseconds
	// RetentionBytes is how much of the log is kept, at least; NoLimit, or at least 0.
	RetentionBytes int64
}

func (t Settings) append(b []byte) []byte {
	b = codec.AppendUvarint(b, t.Version)
	b = codec.AppendUvarint(b, t.SegmentBytes)
	b = codec.AppendUvarint(b, uint64(t.RetentionTime)+1)
	return codec.AppendUvarint(b, uint64(t.RetentionBytes)+1)
}

func readSettings(r *codec.Reader) (Settings, bool) {
	t := Settings{
		Version: r.Uvarint(), SegmentBytes: r.Uvarint(),
		RetentionTime: api.Milliseconds(r.Uvarint() - 1), RetentionBytes: int64(r.Uvarint() - 1),
	}
	return t, t.RetentionTime >= NoLimit && t.RetentionBytes >= NoLimit
}

// Bounds of spans.
const (
	// maxSpans is how many a partition has; one more, and the smallest two neighbours
	// become one. At 64 MiB each they cover 256 GiB, and their state takes about 100 KB.
	maxSpans = 4096
	// spansPerRetention is how many of them the time of retention is cut into, at
	// least: so much longer than it says may a record stay.
	spansPerRetention = 8
	// maxSpanBytes bounds the sum of all spans' bytes.
	maxSpanBytes = 1 << 62

	bytesPerSpan = 24
)

// spans are the log in pieces, which retention gives up whole, and of which the time
// stamps are known. The last one grows until it is as large as a segment, or as old
// as a part of the time of retention: so a log that is hardly written to is given up
// piece by piece too.
//
// How old a piece is the log's own age says, never a record: its time stamp is its
// producer's, who may stand years before or after. The age is what leaders measure
// on their monotonic clocks, each from where the one before it left off, so that it
// cannot leap: whenever no leader measured, it stood still.
type spans struct {
	// list is empty exactly if there are no records; the last ends at the log's end,
	// and each begins where the one before it ends, the first at the log start or
	// below.
	list []span
	// bytes is the sum over the list.
	bytes int64
}

type span struct {
	end api.Offset
	// first and last are the ages of the log when its batches were appended.
	first, last api.Milliseconds
	bytes       int64
	// latest is the greatest time stamp of its records.
	latest api.Milliseconds
}

// Settings are those that hold now.
func (s *State) Settings() Settings { return s.settings }

// Age is how long the log has lasted, by the monotonic clocks of its leaders.
func (s *State) Age() api.Milliseconds { return s.age }

// Due reports whether an age that the leader has come to ought to be written down:
// something is too old by then, or so much time has passed that it should not be lost
// if every replica started again.
func (s *State) Due(age api.Milliseconds) bool {
	keep := s.settings.RetentionTime
	if keep == NoLimit || len(s.spans.list) == 0 {
		return false
	}
	return s.tooOld(&s.spans.list[0], age) || age-s.age >= max(keep/spansPerRetention, minWritten)
}

// minWritten is the least time that is written down for its own sake.
const minWritten api.Milliseconds = 1000

// Seek gives an offset, from one on, below which no record from there has a time stamp
// at or after a time; false if none up to the end has.
func (s *State) Seek(from api.Offset, time api.Milliseconds) (api.Offset, bool) {
	list := s.spans.list
	at := max(from, s.start)
	for i := sort.Search(len(list), func(i int) bool { return list[i].end > at }); i < len(list); i++ {
		if list[i].latest >= time {
			return at, true
		}
		at = list[i].end
	}
	return at, false
}

// extend adds a batch that was appended, at the end, to the spans.
func (s *State) extend(info batch.Info) {
	list := s.spans.list
	if n := len(list); n == 0 || s.full(&list[n-1]) {
		s.spans.push(span{first: s.age, latest: info.MaxTimestamp})
	}
	last := &s.spans.list[len(s.spans.list)-1]
	last.end, last.last = s.end, s.age
	last.latest = max(last.latest, info.MaxTimestamp)
	n := min(int64(info.Length), maxSpanBytes-s.spans.bytes)
	last.bytes += n
	s.spans.bytes += n
}

// full reports whether a span is to grow no more.
func (s *State) full(p *span) bool {
	keep := s.settings.RetentionTime
	return uint64(p.bytes) >= s.settings.SegmentBytes || keep != NoLimit && s.age-p.first >= max(keep/spansPerRetention, 1)
}

// retain gives up whole spans from the front: those of which every record is too old,
// and those without which there is as much left as is to be kept. The last one is
// being written, and goes only when it is too old.
func (s *State) retain() {
	for list := s.spans.list; len(list) > 0; list = s.spans.list {
		first := &list[0]
		gone := first.end <= s.start || s.tooOld(first, s.age) || len(list) > 1 && s.tooMuch(first)
		if !gone {
			return
		}
		s.start = max(s.start, first.end)
		s.spans.bytes -= first.bytes
		s.spans.list = list[1:]
	}
	s.spans.list = nil
}

func (s *State) tooOld(p *span, age api.Milliseconds) bool {
	keep := s.settings.RetentionTime
	return keep != NoLimit && age-p.last >= keep
}

func (s *State) tooMuch(p *span) bool {
	keep := s.settings.RetentionBytes
	return keep != NoLimit && s.spans.bytes-p.bytes >= keep
}

// push begins another span, and makes room for it.
func (p *spans) push(next span) {
	if len(p.list) == maxSpans {
		p.merge()
	}
	p.list = append(p.list, next)
}

// merge makes one of the two neighbours that have the fewest bytes, the older ones of
// equals.
func (p *spans) merge() {
	least := 0
	for i := range len(p.list) - 1 {
		if p.list[i].bytes+p.list[i+1].bytes < p.list[least].bytes+p.list[least+1].bytes {
			least = i
		}
	}
	older, newer := &p.list[least], &p.list[least+1]
	newer.first, newer.bytes = older.first, older.bytes+newer.bytes
	newer.latest = max(older.latest, newer.latest)
	p.list = slices.Delete(p.list, least, least+1)
}

func (p *spans) append(b []byte, start api.Offset) []byte {
	b = codec.AppendUvarint(b, uint64(len(p.list)))
	for _, n := range p.list {
		b = codec.AppendUvarint(b, uint64(n.end-start))
		b = codec.AppendUvarint(b, uint64(n.first))
		b = codec.AppendUvarint(b, uint64(n.last))
		b = codec.AppendUvarint(b, uint64(n.bytes))
		b = codec.AppendUvarint(b, uint64(n.latest))
		start = n.end
	}
	return b
}

// readSpans reads what append wrote, for a state of which start, end and age are
// known.
func readSpans(r *codec.Reader, s *State) (spans, bool) {
	const leastBytes = 5
	var p spans
	end, age := s.start, api.Milliseconds(0)
	count := r.Count(leastBytes)
	for range min(count, maxSpans) {
		step := r.Uvarint()
		n := span{
			first: api.Milliseconds(r.Uvarint()), last: api.Milliseconds(r.Uvarint()),
			bytes: int64(r.Uvarint()), latest: api.Milliseconds(r.Uvarint()),
		}
		if step < 1 || step > uint64(s.end-end) || n.first < age || n.last < n.first || n.bytes < 0 || n.bytes > maxSpanBytes-p.bytes {
			return p, false
		}
		end, age = end+api.Offset(step), n.last
		n.end = end
		p.bytes += n.bytes
		p.list = append(p.list, n)
	}
	return p, r.Err() == nil && count <= maxSpans && end == s.end && age <= s.age
}
