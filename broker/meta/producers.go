package meta

import (
	"container/list"
	"math"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
	"github.com/reprise-mq/reprise/broker/command"
)

// Bounds of the table of producers.
const (
	// MaxProducers is how many producers with an epoch above 0 are known; one more,
	// and the longest idle is forgotten.
	MaxProducers = 100_000
	// expiredPerApply bounds the producers forgotten by one command. It is above the
	// one that a command can add, so the table shrinks to those in use.
	expiredPerApply = 4
)

// producers holds the epochs above 0. All other ids up to the last given out are at
// epoch 0, or were forgotten.
type producers struct {
	byID map[api.ProducerID]*list.Element
	// byUse holds a *producer for each in byID, the longest idle in front: used
	// never falls from one to the next.
	byUse *list.List
}

type producer struct {
	id    api.ProducerID
	epoch api.Epoch // above 0
	// used is the clock's time when the epoch was given out.
	used api.Milliseconds
}

func newProducers() producers {
	return producers{byID: make(map[api.ProducerID]*list.Element), byUse: list.New()}
}

// initProducer gives out a new id, or the next epoch of one, which fences the
// present epoch. Where the next epoch cannot be told, because there is none or
// because the id was idle too long, it gives out a new id: the sequences of either
// begin at 0, and nobody can have the id already.
func (s *State) initProducer(r *api.InitProducerRequest) *api.Response {
	id, epoch := api.ProducerID(r.ProducerId), api.Epoch(r.Epoch)
	if id > s.lastProducer {
		return refuse(api.Code_UNKNOWN_PRODUCER, "producer %d was never given out; ask for a new id", id)
	}
	known, ok := s.producers.epoch(id)
	switch {
	case ok && epoch != known:
		return refuse(api.Code_PRODUCER_FENCED,
			"producer %d is at epoch %d, and this is epoch %d; another took its place", id, known, epoch)
	case id == 0 || epoch == math.MaxInt16 || !ok && epoch > 0:
		s.lastProducer++
		id, epoch = s.lastProducer, 0
	default:
		epoch++
		s.producers.set(producer{id: id, epoch: epoch, used: s.clock.Elapsed()})
	}
	return &api.Response{Body: &api.Response_InitProducer{InitProducer: &api.InitProducerResponse{
		ProducerId: int64(id), Epoch: int32(epoch)}}}
}

func (t *producers) epoch(id api.ProducerID) (api.Epoch, bool) {
	e := t.byID[id]
	if e == nil {
		return 0, false
	}
	return e.Value.(*producer).epoch, true
}

func (t *producers) set(p producer) {
	if e := t.byID[p.id]; e != nil {
		t.forget(e)
	}
	if t.byUse.Len() == MaxProducers {
		t.forget(t.byUse.Front())
	}
	t.byID[p.id] = t.byUse.PushBack(&p)
}

// expire forgets producers that were idle for a day, a few at a time.
func (t *producers) expire(now api.Milliseconds) {
	for range expiredPerApply {
		e := t.byUse.Front()
		if e == nil || now-e.Value.(*producer).used < command.Day {
			return
		}
		t.forget(e)
	}
}

func (t *producers) forget(e *list.Element) {
	delete(t.byID, e.Value.(*producer).id)
	t.byUse.Remove(e)
}

func (t *producers) append(b []byte) []byte {
	b = codec.AppendUvarint(b, uint64(t.byUse.Len()))
	for e := t.byUse.Front(); e != nil; e = e.Next() {
		p := e.Value.(*producer)
		b = appendNumbers(b, uint64(p.id), uint64(p.epoch), uint64(p.used))
	}
	return b
}

// readProducers reads what append wrote, where last is the last id given out and
// the clock stands at now.
func readProducers(r *codec.Reader, last api.ProducerID, now api.Milliseconds) (producers, bool) {
	const leastBytes = 3
	t := newProducers()
	n := r.Count(leastBytes)
	if n > MaxProducers {
		return t, false
	}
	used := api.Milliseconds(0)
	for range n {
		p := producer{id: api.ProducerID(r.Uvarint())}
		epoch := r.Uvarint()
		p.used = api.Milliseconds(r.Uvarint())
		if p.id < 1 || p.id > last || epoch < 1 || epoch > math.MaxInt16 ||
			p.used < used || p.used > now || t.byID[p.id] != nil {
			return t, false
		}
		p.epoch, used = api.Epoch(epoch), p.used
		t.set(p)
	}
	return t, true
}
