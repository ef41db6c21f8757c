package core_test

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/prng"
)

// still is a clock that stands, and a network that must not be used.
type still struct{}

func (still) Now() env.Time                   { return 0 }
func (still) Wall() int64                     { return 0 }
func (still) WakeAt(env.Time)                 {}
func (still) Send(env.Endpoint, *api.Message) { panic("sent") }

// A name that no message can carry is refused before it is sent.
func TestNamesThatAreNoText(t *testing.T) {
	const bad = "a\xffb"
	for what, ask := range map[string]func(*core.Client, func(core.Result)){
		"produce": func(c *core.Client, done func(core.Result)) {
			c.Produce(bad, 0, []batch.Record{{Value: []byte("x")}}, core.ProduceOptions{}, done)
		},
		"fetch": func(c *core.Client, done func(core.Result)) { c.Fetch(bad, 0, 0, core.FetchOptions{}, done) },
		"create": func(c *core.Client, done func(core.Result)) {
			c.CreateTopic(&api.CreateTopicRequest{Name: bad, Partitions: 1}, 0, done)
		},
		"delete":    func(c *core.Client, done func(core.Result)) { c.DeleteTopic(bad, 0, done) },
		"elect":     func(c *core.Client, done func(core.Result)) { c.ElectLeader(bad, 0, 1, 0, done) },
		"producers": func(c *core.Client, done func(core.Result)) { c.DescribeProducers(bad, 0, 0, 0, done) },
		"metadata": func(c *core.Client, done func(core.Result)) {
			c.Metadata(&api.MetadataRequest{Topics: []*api.TopicRef{{Name: bad}}}, 0, done)
		},
	} {
		c := core.New(core.Config{Bootstrap: []env.Endpoint{"n:1"}}, still{}, still{}, prng.New(1))
		var got *core.Result
		ask(c, func(r core.Result) { got = &r })
		c.Flush()
		if got == nil || got.Err.GetCode() != api.Code_INVALID_TOPIC_NAME || !got.Definite {
			t.Errorf("%s: %+v, want INVALID_TOPIC_NAME", what, got)
		}
	}
}
