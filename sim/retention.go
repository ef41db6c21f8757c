package sim

import (
	"strconv"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/workloads"
)

// The configs of topics that a run changes.
const (
	retentionTime  = "retention.ms"
	retentionBytes = "retention.bytes"
	segmentBytes   = "segment.bytes"
	messageBytes   = "max.message.bytes"
)

// configNames are those that acts change.
var configNames = map[plan.Kind]string{
	plan.RetainTime: retentionTime, plan.RetainBytes: retentionBytes,
	plan.SegmentBytes: segmentBytes, plan.MessageBytes: messageBytes,
}

// configs are what the topic of a workload is made with.
func configs(w *workloads.Config) []*api.TopicConfig {
	var list []*api.TopicConfig
	set := func(name string, value int64) {
		if value != 0 {
			list = append(list, &api.TopicConfig{Name: name, Value: strconv.FormatInt(value, 10)})
		}
	}
	set(retentionTime, w.RetentionTime)
	set(retentionBytes, w.RetentionBytes)
	return list
}

// change does what an administrator would with a topic.
func (r *run) change(f *plan.Fault) bool {
	m := r.oracle.Meta()
	if m == nil || m.TopicByName(f.Target.Topic) == nil {
		return false
	}
	r.noteFault(f, f.Target.Topic, histories.Point)
	done := func(core.Result) {}
	if f.Kind == plan.AddPartitions {
		partitions := int32(len(m.TopicByName(f.Target.Topic).Partitions)) + int32(f.Strength)
		r.admin.do(func(c *core.Client) { c.AddPartitions(f.Target.Topic, partitions, adminPatience, done) })
		return true
	}
	name := configNames[f.Kind]
	q := &api.AlterTopicRequest{Set: []*api.TopicConfig{{Name: name, Value: strconv.FormatInt(f.Strength, 10)}}}
	if f.Strength == 0 {
		q = &api.AlterTopicRequest{Unset: []string{name}}
	}
	r.admin.do(func(c *core.Client) { c.AlterTopic(f.Target.Topic, q, adminPatience, done) })
	return true
}

// keepAll ends all retention, so that the final reads find what they are told is there.
func (r *run) keepAll() {
	if !r.plan.Workload.Retains() || r.plan.Unrestricted {
		return
	}
	done := false
	r.keepAllOf(r.plan.Workload.Topic, func() { done = true })
	if !r.until(r.liveness(), func() bool { return done && r.converged() }) {
		r.fail(Stuck, "%d ms after it was asked for, retention does not end: %s", r.plan.Liveness, r.missing())
	}
}

func (r *run) keepAllOf(topic string, done func()) {
	q := &api.AlterTopicRequest{Unset: []string{retentionTime, retentionBytes}}
	r.admin.do(func(c *core.Client) {
		c.AlterTopic(topic, q, adminPatience, func(result core.Result) {
			if result.Err == nil {
				done()
				return
			}
			r.world.Agenda.After(env.Second, func() { r.keepAllOf(topic, done) })
		})
	})
}
