package meta

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
)

// Whoever watches topics is told by a number that one has come, grown or gone, or that the
// state is another; and is not bothered with anything else.
func TestTopicChanges(t *testing.T) {
	s := cluster(t, 3)
	last := s.TopicChanges()
	ref := &api.TopicRef{Name: "t"}
	for _, step := range []struct {
		what    string
		do      func()
		changes bool
	}{
		{"a producer", func() { do(t, s, initProducer(0, 0)) }, false},
		{"a topic comes", func() { do(t, s, createTopic("t", 2, 3)) }, true},
		{"a node joins", func() { do(t, s, join("token9", "host9:9092")) }, false},
		{"a topic is altered", func() { do(t, s, alter(ref, []*api.TopicConfig{config("retention.ms", "7000")})) }, false},
		{"a topic grows", func() { do(t, s, addPartitions(ref, 5)) }, true},
		{"a topic goes", func() {
			do(t, s, &api.Request{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{Topic: ref}}})
		}, true},
		{"another state", func() {
			if err := s.Restore(cluster(t, 1).Save()); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		step.do()
		now := s.TopicChanges()
		if (now > last) != step.changes || now < last {
			t.Errorf("%s: %d changes, then %d", step.what, last, now)
		}
		last = now
	}
}
