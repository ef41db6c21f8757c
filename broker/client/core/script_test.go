package core_test

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core/coretest"
	"github.com/reprise-mq/reprise/broker/env"
	"pgregory.net/rapid"
)

// fates are what may become of a request; each is a step of a script.
var fates = []string{"answer", "answer", "answer", "refuse", "lose", "act and lose", "doubt", "act and doubt", "act late", "cut", "act and cut"}

// TestScripts has rapid write the fate of every request and every act of the
// world, so that what fails comes out as a short script.
func TestScripts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStory(1)
		s.narrow = rapid.Bool().Draw(t, "narrow")
		peace := false
		s.world.Script = func(id api.NodeID, q *api.Request) (*api.Response, bool) {
			if peace {
				return nil, false
			}
			return s.fated(rapid.SampledFrom(fates).Draw(t, "fate"), id, q)
		}
		t.Repeat(map[string]func(*rapid.T){
			"produce":   func(*rapid.T) { s.produce(); s.client.Flush() },
			"other":     func(*rapid.T) { s.other(); s.client.Flush() },
			"elsewhere": func(*rapid.T) { s.elsewhere(); s.client.Flush() },
			"pass": func(t *rapid.T) {
				s.world.Run(s.world.Now() + env.Time(rapid.IntRange(1, 3000).Draw(t, "ms"))*env.Millisecond)
			},
			"lead": func(t *rapid.T) {
				p := s.world.Topic("t0").Partitions[0]
				p.Lead(rapid.SampledFrom(append([]api.NodeID{0}, p.Replicas...)).Draw(t, "node"))
			},
			"node": func(t *rapid.T) {
				s.world.SetUp(rapid.SampledFrom(s.world.Members()).Draw(t, "node"), rapid.Bool().Draw(t, "up"))
			},
			"replace": func(*rapid.T) { s.replace() },
			"again":   func(*rapid.T) { s.world.DeleteTopic("t0"); s.world.CreateTopic("t0", partitions) },
		})
		peace = true
		s.heal()
		s.client.Flush()
		s.world.Run(s.world.Now() + 60*env.Second)
		s.goOn()
		s.judge(t, &tally{})
	})
}

// fated carries a fate out at a request.
func (s *story) fated(fate string, id api.NodeID, q *api.Request) (*api.Response, bool) {
	w := s.world
	switch fate {
	case "refuse":
		return failed(api.Code_OVERLOADED), true
	case "lose":
		return nil, true
	case "act and lose":
		w.Answer(id, q)
		return nil, true
	case "doubt":
		return doubtful(q), true
	case "act and doubt":
		if r := w.Answer(id, q); r != nil && r.Error != nil {
			return r, true
		}
		return doubtful(q), true
	case "act late":
		w.At(w.Now()+4*env.Second, func() { w.Answer(id, q) })
		return doubtful(q), true
	case "cut":
		w.Cut(id)
		return nil, true
	case "act and cut":
		w.Answer(id, q)
		w.Cut(id)
		return nil, true
	}
	return nil, false
}

// doubtful is an answer that leaves a change in doubt; a read gets none.
func doubtful(q *api.Request) *api.Response {
	if coretest.Changes(q) {
		return failed(api.Code_LEADERSHIP_LOST)
	}
	return nil
}
