package meta

import (
	"math"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
	"github.com/reprise-mq/reprise/broker/idle"
)

// MaxProducers is how many producers with an epoch above 0 are known; one more, and
// the longest idle is forgotten.
const MaxProducers = 100_000

// producers holds the epochs above 0. A producer is used when its epoch is given
// out.
type producers struct {
	idle.Table[api.ProducerID, api.Epoch]
	// forgotten is the highest epoch of a producer that was forgotten. So an id that
	// was given out and is not in the table is at some epoch from 0 to forgotten.
	forgotten api.Epoch
}

func newProducers() producers {
	return producers{Table: idle.NewTable[api.ProducerID, api.Epoch](MaxProducers)}
}

func (t *producers) expire(now api.Milliseconds) {
	for _, e := range t.Expire(now) {
		t.forgotten = max(t.forgotten, e.Value)
	}
}

// epochs gives the range in which the present epoch of an id lies.
func (t *producers) epochs(id api.ProducerID) (low, high api.Epoch) {
	if known := t.Get(id); known != nil {
		return *known, *known
	}
	return 0, t.forgotten
}

// initProducer gives out a new id, or a higher epoch of one, which fences the
// present epoch. That is epoch + 1, unless the id is no longer known: then it lies
// above all that the id can have had, for no pair of id and epoch is ever given out
// twice. (Of two producers with one pair, a batch of the second could be answered
// with the offset of the first one's.) When epochs run out there is a new id.
func (s *State) initProducer(r *api.InitProducerRequest) *api.Response {
	id, epoch := api.ProducerID(r.ProducerId), api.Epoch(r.Epoch)
	if id > s.lastProducer {
		return refuse(api.Code_UNKNOWN_PRODUCER, "producer %d was never given out; ask for a new id", id)
	}
	low, high := s.producers.epochs(id)
	if id != 0 && (epoch < low || epoch > high) {
		return refuse(api.Code_PRODUCER_FENCED,
			"producer %d is at epoch %d, and this is epoch %d; another took its place", id, high, epoch)
	}
	if id == 0 || high == math.MaxInt16 {
		s.lastProducer++
		id, epoch = s.lastProducer, 0
	} else {
		epoch = high + 1
		*s.producers.Use(id, s.clock.Elapsed()) = epoch
	}
	return &api.Response{Body: &api.Response_InitProducer{InitProducer: &api.InitProducerResponse{
		ProducerId: int64(id), Epoch: int32(epoch)}}}
}

func (t *producers) append(b []byte) []byte {
	b = appendNumbers(b, uint64(t.forgotten), uint64(t.Len()))
	for e := range t.All() {
		b = appendNumbers(b, uint64(e.Key), uint64(e.Used), uint64(e.Value))
	}
	return b
}

// readProducers reads what append wrote, where last is the last id given out and
// the clock stands at now.
func readProducers(r *codec.Reader, last api.ProducerID, now api.Milliseconds) (producers, bool) {
	const leastBytes = 3
	t := newProducers()
	forgotten := r.Uvarint()
	if forgotten > math.MaxInt16 {
		return t, false
	}
	t.forgotten = api.Epoch(forgotten)
	for range r.Count(leastBytes) {
		e := idle.Entry[api.ProducerID, api.Epoch]{Key: api.ProducerID(r.Uvarint()), Used: api.Milliseconds(r.Uvarint())}
		epoch := r.Uvarint()
		e.Value = api.Epoch(epoch)
		if e.Key < 1 || e.Key > last || epoch < 1 || epoch > math.MaxInt16 || !t.Restore(e, now) {
			return t, false
		}
	}
	return t, r.Err() == nil
}
