// Package partition is the replicated state machine of a partition: where its
// records begin and end, which of them retention has given up, and what each
// idempotent producer has appended. It decides, from a command and the state alone,
// which offset a batch takes, whether it is a duplicate, which producer is fenced,
// and what is too old or too much; so every replica, and every replay of the log,
// decides the same. It never holds a record, reads a clock or answers a request.
//
// A command is the head of package command, then by kind
//
//	1 produce   uvarint  age of the log, as the leader has it
//	            bytes    a record batch
//	2 trim      uvarint  before + 1: records below before go; 0: all there are
//	3 age       uvarint  age of the log, as the leader has it
//	4 settings  uvarint  version; those of an older one than is known change nothing
//	            uvarint  segment bytes
//	            uvarint  retention in milliseconds, + 1; 0: without limit
//	            uvarint  retention in bytes, + 1; 0: without limit
//
// and a saved state, whose producers stand from the longest idle to the latest
// used, is
//
//	byte     format version, 2
//	uvarint  settings, as in the command (4 numbers)
//	uvarint  log start
//	uvarint  end
//	clock    of package idle
//	uvarint  age of the log in milliseconds
//	uvarint  number of spans, then for each, oldest first
//	  uvarint  its end, less that of the one before (the first: less the log start)
//	  uvarint  age of the log when its first batch was appended
//	  uvarint  and its last
//	  uvarint  bytes of its batches
//	  uvarint  latest time stamp of its records (two's complement)
//	uvarint  number of producers, then for each
//	  uvarint  id
//	  uvarint  time of last use, by the clock
//	  uvarint  epoch
//	  uvarint  sequence of the first batch known
//	  byte     number of batches known, 1 to 5, then for each, oldest first
//	    uvarint  count of records; the next batch's sequence follows from it
//	    uvarint  base offset
//
// in the numbers of broker/codec. Equal states give equal bytes.
package partition

import (
	"errors"
	"math"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/codec"
	"github.com/reprise-mq/reprise/broker/command"
	"github.com/reprise-mq/reprise/broker/idle"
)

// Tag names a proposal; see command.Tag.
type Tag = command.Tag

// State is the state of one partition.
type State struct {
	// Records from start up to, and without, end can be read; 0 <= start <= end.
	start, end api.Offset
	clock      idle.Clock
	producers  producers
	settings   Settings
	// age is how long the log has lasted, by the monotonic clocks of its leaders. It
	// never goes back.
	age   api.Milliseconds
	spans spans
}

// New is the state of a partition without records, whose segments roll at a size,
// and which keeps everything.
func New(segmentBytes uint64) *State {
	return &State{
		producers: newProducers(),
		settings:  Settings{SegmentBytes: segmentBytes, RetentionTime: NoLimit, RetentionBytes: NoLimit},
	}
}

// LogStart is the first offset that can be read.
func (s *State) LogStart() api.Offset { return s.start }

// End is the offset that the next record takes.
func (s *State) End() api.Offset { return s.end }

// NoOffset stands where an outcome has no base offset, so that no error can be
// taken for offset 0.
const NoOffset api.Offset = -1

// Outcome is what became of a command.
type Outcome struct {
	// Tag of the proposal; zero if the entry holds no command.
	Tag Tag
	// Code is OK, or why nothing but the clock changed.
	Code api.Code
	// Message says more of an error to the client; "" with OK.
	Message string
	// Base is the offset of the batch's first record, also of a duplicate's;
	// NoOffset of anything but a produce that is OK.
	Base api.Offset
	// Count of records appended, which took the offsets from Base; 0 for
	// everything that takes none.
	Count int32
	// Duplicate: the batch had been appended before, at Base.
	Duplicate bool
	// LogStart after the command.
	LogStart api.Offset
}

// Apply carries out one entry of the log. It accepts any bytes: raft's own empty
// entries change nothing, and what is no command is answered INVALID_REQUEST.
func (s *State) Apply(data []byte) Outcome {
	out := Outcome{Base: NoOffset}
	if len(data) > 0 {
		s.apply(data, &out)
	}
	out.LogStart = s.start
	return out
}

func (s *State) apply(data []byte, out *Outcome) {
	c, ok := decode(data)
	out.Tag = c.head.Tag
	if !ok {
		out.refuse(api.Code_INVALID_REQUEST, "the entry is no command of this version")
		return
	}
	s.clock.Advance(c.head.Now)
	s.producers.Expire(s.clock.Elapsed())
	s.age = max(s.age, c.age)
	switch c.head.Kind {
	case kindTrim:
		s.trim(c.before, out)
	case kindProduce:
		s.produce(c.batch, out)
	case kindSettings:
		if c.settings.Version > s.settings.Version {
			s.settings = c.settings
		}
	}
	s.retain()
}

func (s *State) trim(before api.Offset, out *Outcome) {
	if before == toEnd {
		before = s.end
	}
	if before < 0 || before > s.end {
		out.refuse(api.Code_OFFSET_OUT_OF_RANGE,
			"cannot delete records before offset %d: the log ends at %d; list offsets", before, s.end)
		return
	}
	s.start = max(s.start, before)
}

func (s *State) produce(data []byte, out *Outcome) {
	info, err := batch.Parse(data)
	if err != nil {
		out.refuse(codeOf(err), "the record batch was refused when it was applied; encode it again")
		return
	}
	if int64(info.Count) > maxRecords || s.end > math.MaxInt64-maxRecords {
		out.refuse(api.Code_BATCH_TOO_LARGE, "the batch claims %d records after offset %d; send fewer at a time", info.Count, s.end)
		return
	}
	if info.Producer != 0 && !s.producers.admit(info, s.clock.Elapsed(), out) {
		return
	}
	out.Base, out.Count = s.end, info.Count
	s.end += api.Offset(info.Count)
	s.extend(info)
	if info.Producer != 0 {
		s.producers.record(info, out.Base, s.clock.Elapsed())
	}
}

// Past says what will become of a batch, if that is certain whatever is applied before it:
// its producer is past it. A leader that has applied all that was acknowledged before it was
// elected may answer that at once. A batch that is not appended takes room in the log too,
// of which retention knows nothing.
func (s *State) Past(data []byte) (out Outcome, certain bool) {
	out = Outcome{Base: NoOffset, LogStart: s.start}
	info, err := batch.Parse(data)
	if err != nil || info.Producer == 0 {
		return out, false
	}
	p := s.producers.Get(info.Producer)
	return out, p != nil && p.past(info, &out)
}

// maxRecords bounds the records of a batch: each takes at least a byte. So the
// batches known of a producer never cover as much as half the sequence numbers.
const maxRecords = batch.MaxBytes

func codeOf(err error) api.Code {
	switch {
	case errors.Is(err, batch.ErrTooLarge):
		return api.Code_BATCH_TOO_LARGE
	case errors.Is(err, batch.ErrUnsupportedCompression):
		return api.Code_UNSUPPORTED_COMPRESSION
	}
	return api.Code_CORRUPT_BATCH
}

// ErrState: the bytes are no saved state of a partition: damaged, or of another
// version. The state frame must come from elsewhere.
var ErrState = errors.New("malformed partition state")

const stateVersion = 2

// Save gives the state as bytes: equal states give equal bytes.
func (s *State) Save() []byte {
	size := 128 + len(s.spans.list)*bytesPerSpan + s.producers.Len()*bytesPerProducer
	b := append(make([]byte, 0, size), stateVersion)
	b = s.settings.append(b)
	b = codec.AppendUvarint(b, uint64(s.start))
	b = codec.AppendUvarint(b, uint64(s.end))
	b = s.clock.Append(b)
	b = codec.AppendUvarint(b, uint64(s.age))
	b = s.spans.append(b, s.start)
	return s.producers.append(b)
}

// Restore takes the state that Save gave. It accepts nothing else: on ErrState the
// state is as it was.
func (s *State) Restore(data []byte) error {
	r := codec.NewReader(data)
	if r.Byte() != stateVersion {
		return ErrState
	}
	settings, ok := readSettings(r)
	n := State{settings: settings, start: api.Offset(r.Uvarint()), end: api.Offset(r.Uvarint())}
	if !ok || n.start < 0 || n.end < n.start {
		return ErrState
	}
	clock, ok := idle.ReadClock(r)
	n.clock, n.age = clock, api.Milliseconds(r.Uvarint())
	if !ok || n.age < 0 {
		return ErrState
	}
	if n.spans, ok = readSpans(r, &n); !ok {
		return ErrState
	}
	n.producers, ok = readProducers(r, n.end, clock.Elapsed())
	if !ok || r.Close() != nil {
		return ErrState
	}
	*s = n
	return nil
}
