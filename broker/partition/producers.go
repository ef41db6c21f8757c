package partition

import (
	"math"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/codec"
	"github.com/reprise-mq/reprise/broker/idle"
)

// Bounds of the table of producers.
const (
	// MaxProducers is how many producers a partition knows; one more, and the
	// longest idle is forgotten. Kafka has no such bound; at this one a saved state
	// takes about 5 MB.
	MaxProducers = 100_000
	// knownBatches of a producer can be told from new ones, as in Kafka: a producer
	// has at most so many unanswered at a time.
	knownBatches = 5

	bytesPerProducer = 48
)

// producers is what is known of idempotent producers, after KIP-98 and KIP-360. A
// producer is used by each batch that is appended, or applied and found to be a duplicate.
type producers struct {
	idle.Table[api.ProducerID, producer]
}

type producer struct {
	epoch api.Epoch
	// batches are the latest of this epoch, 1 to knownBatches, oldest first; the
	// sequences of each follow those of the one before.
	batches []appended
}

// appended is one batch as it stands in the log.
type appended struct {
	sequence api.Sequence
	count    int32 // from 1 to maxRecords
	base     api.Offset
}

func newProducers() producers {
	return producers{idle.NewTable[api.ProducerID, producer](MaxProducers)}
}

// Producer is what is known of a producer, for whoever asks.
type Producer struct {
	ID    api.ProducerID
	Epoch api.Epoch
	// LastSequence and LastOffset are of its last record.
	LastSequence api.Sequence
	LastOffset   api.Offset
	// Idle is for how long it has not been used, as a command with the stamp asked for
	// would find it.
	Idle api.Milliseconds
}

// Producers tells of up to limit producers, the latest used first, as of a leader's time.
func (s *State) Producers(limit int, now api.Milliseconds) []Producer {
	clock := s.clock
	clock.Advance(now)
	var list []Producer
	for e := range s.producers.Latest() {
		if len(list) >= limit {
			break
		}
		last := e.Value.batches[len(e.Value.batches)-1]
		list = append(list, Producer{
			ID: e.Key, Epoch: e.Value.epoch,
			LastSequence: (last.next() - 1) & math.MaxInt32, LastOffset: last.base + api.Offset(last.count) - 1,
			Idle: clock.Elapsed() - e.Used,
		})
	}
	return list
}

// KnownProducers is how many producers are known, up to MaxProducers.
func (s *State) KnownProducers() int { return s.producers.Len() }

// admit reports whether a batch is new and next in its producer's order. If not,
// out says why, or where the same batch stands already.
func (t *producers) admit(info batch.Info, now api.Milliseconds, out *Outcome) bool {
	p := t.Get(info.Producer)
	if p == nil {
		if info.Sequence != 0 {
			out.refuse(api.Code_UNKNOWN_PRODUCER,
				"nothing is known of producer %d, so its first sequence must be 0, not %d; get a new producer id",
				info.Producer, info.Sequence)
		}
		return info.Sequence == 0
	}
	switch {
	case p.past(info, out):
		if out.Duplicate {
			t.Use(info.Producer, now)
		}
		return false
	case info.Epoch == p.epoch && info.Sequence == p.next(), info.Epoch > p.epoch && info.Sequence == 0:
		return true
	case info.Epoch > p.epoch:
		out.refuse(api.Code_OUT_OF_ORDER_SEQUENCE,
			"the first sequence of epoch %d of producer %d must be 0, not %d",
			info.Epoch, info.Producer, info.Sequence)
	default:
		out.refuse(api.Code_OUT_OF_ORDER_SEQUENCE,
			"the next sequence of producer %d is %d, not %d; an earlier batch is missing",
			info.Producer, p.next(), info.Sequence)
	}
	return false
}

// past reports whether the producer is past a batch for good: it was appended, or its
// epoch is over. out says which. What begins before the next sequence and is none of those
// known is older, or was cut otherwise than when it was first sent: its records, or some of
// them, were appended. What begins after it leaves a gap, which may be filled yet.
//
// Sequences wrap, so before and after are told by the shorter way round.
func (p *producer) past(info batch.Info, out *Outcome) bool {
	const half = math.MaxInt32/2 + 1
	ahead := (info.Sequence - p.next()) & math.MaxInt32
	switch base, known := p.find(info.Sequence, info.Count); {
	case info.Epoch < p.epoch:
		out.refuse(api.Code_PRODUCER_FENCED,
			"producer %d is at epoch %d, and this is epoch %d; another took its place",
			info.Producer, p.epoch, info.Epoch)
	case info.Epoch > p.epoch || ahead < half:
		return false
	case known:
		out.Base, out.Duplicate = base, true
	default:
		out.refuse(api.Code_DUPLICATE_SEQUENCE,
			"producer %d is past sequence %d, at %d, and this is none of its last %d batches; all of it, or a part, was appended before",
			info.Producer, info.Sequence, p.next(), len(p.batches))
	}
	return true
}

// find looks for a batch among those known. Both its ends must be the same: a batch
// that merely overlaps one is another batch.
func (p *producer) find(first api.Sequence, count int32) (api.Offset, bool) {
	for _, b := range p.batches {
		if b.sequence == first && b.count == count {
			return b.base, true
		}
	}
	return NoOffset, false
}

// next is the sequence that follows the last batch.
func (p *producer) next() api.Sequence { return p.batches[len(p.batches)-1].next() }

func (b appended) next() api.Sequence {
	return (b.sequence + api.Sequence(b.count)) & math.MaxInt32
}

// record notes a batch that admit let through.
func (t *producers) record(info batch.Info, base api.Offset, now api.Milliseconds) {
	p := t.Use(info.Producer, now)
	if p.epoch != info.Epoch {
		*p = producer{epoch: info.Epoch}
	}
	if len(p.batches) == knownBatches {
		copy(p.batches, p.batches[1:])
		p.batches = p.batches[:knownBatches-1]
	}
	p.batches = append(p.batches, appended{sequence: info.Sequence, count: info.Count, base: base})
}

func (t *producers) append(b []byte) []byte {
	b = codec.AppendUvarint(b, uint64(t.Len()))
	for e := range t.All() {
		b = codec.AppendUvarint(b, uint64(e.Key))
		b = codec.AppendUvarint(b, uint64(e.Used))
		b = e.Value.append(b)
	}
	return b
}

func (p *producer) append(b []byte) []byte {
	b = codec.AppendUvarint(b, uint64(p.epoch))
	b = codec.AppendUvarint(b, uint64(p.batches[0].sequence))
	b = append(b, byte(len(p.batches)))
	for _, k := range p.batches {
		b = codec.AppendUvarint(b, uint64(k.count))
		b = codec.AppendUvarint(b, uint64(k.base))
	}
	return b
}

// readProducers reads what append wrote, for a log that ends at end and a clock
// that stands at now.
func readProducers(r *codec.Reader, end api.Offset, now api.Milliseconds) (producers, bool) {
	const leastBytes = 7
	t := newProducers()
	for range r.Count(leastBytes) {
		e := idle.Entry[api.ProducerID, producer]{Key: api.ProducerID(r.Uvarint()), Used: api.Milliseconds(r.Uvarint())}
		var ok bool
		if e.Value, ok = readProducer(r, end); !ok || e.Key < 1 || !t.Restore(e, now) {
			return t, false
		}
	}
	return t, r.Err() == nil
}

func readProducer(r *codec.Reader, end api.Offset) (producer, bool) {
	epoch, sequence, n := r.Uvarint(), r.Uvarint(), int(r.Byte())
	if epoch > math.MaxInt16 || sequence > math.MaxInt32 || n < 1 || n > knownBatches {
		return producer{}, false
	}
	p := producer{epoch: api.Epoch(epoch)}
	next, low := api.Sequence(sequence), api.Offset(0)
	for range n {
		count, base := r.Uvarint(), api.Offset(r.Uvarint())
		if count < 1 || count > maxRecords || base < low || base > end-api.Offset(count) {
			return producer{}, false
		}
		k := appended{sequence: next, count: int32(count), base: base}
		p.batches = append(p.batches, k)
		next, low = k.next(), base+api.Offset(count)
	}
	return p, true
}
