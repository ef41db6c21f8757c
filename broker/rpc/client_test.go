package rpc

import (
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// Requests that are never answered arrive though the client closes at once, whether its
// link is up or not.
func TestCloseLetsArriveWhatIsNeverAnswered(t *testing.T) {
	s := serve(t)
	for _, up := range []bool{false, true} {
		inbox := &notes{}
		c := NewClientNetwork(inbox, Credentials{})
		before, many := s.count(), 10
		if up {
			c.Send(s.address, requestMessage(produce(0, api.Acks_ALL)))
			many++
			s.await("a request", func() bool { return s.count() == before+1 })
		}
		q := produce(1, api.Acks_NONE)
		q.GetProduce().Batch = make([]byte, 1<<20)
		for range 10 {
			c.Send(s.address, requestMessage(q))
		}
		if up {
			inbox.end() // as a client does before it closes the network
			s.Send(s.sender(before), answer(0))
		}
		began := time.Now()
		c.Close()
		if took := time.Since(began); took >= drainTime {
			t.Errorf("Close took %v", took)
		}
		if got := s.count() - before; got != many {
			t.Errorf("with a link (%v) %d of %d requests arrived", up, got, many)
		}
	}
}

// A client waits for a node that takes nothing if it owes it something, and not for long.
func TestCloseDoesNotWaitForNothing(t *testing.T) {
	l := listen(t, "127.0.0.1:0") // where nobody answers
	defer l.Close()
	for _, test := range []struct {
		acks     api.Acks
		min, max time.Duration
	}{{api.Acks_ALL, 0, drainTime / 2}, {api.Acks_NONE, drainTime, 2 * drainTime}} {
		c := NewClientNetwork(&notes{}, Credentials{})
		c.nodes.patience = time.Minute
		c.Send(env.Endpoint(l.Addr().String()), requestMessage(produce(1, test.acks)))
		began := time.Now()
		c.Close()
		if took := time.Since(began); took < test.min || took > test.max {
			t.Errorf("with acks %v Close took %v", test.acks, took)
		}
	}
}
