package oracle

import (
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/meta"
)

// Topic is one incarnation of a topic, from its creation on.
type Topic struct {
	ID   api.TopicID
	Name string
	// Nth counts the incarnations of the name, from 1.
	Nth    int
	Groups []api.GroupID // by partition
	// bounds are those that its batches had, in order.
	bounds []bound
}

// Topics are all that were ever created, in that order.
func (o *Oracle) Topics() []Topic { return o.topics }

// noteTopics takes in the topics that an entry of the meta group has created.
func (o *Oracle) noteTopics() {
	for _, t := range o.Meta().Topics() {
		if known := o.known(t.ID); known != nil {
			known.Groups = groupsOf(t)
			o.noteBound(known)
			continue
		}
		made := Topic{ID: t.ID, Name: t.Name, Nth: 1}
		for _, before := range o.topics {
			if before.Name == t.Name {
				made.Nth++
			}
		}
		made.Groups = groupsOf(t)
		o.noteBound(&made)
		o.topics = append(o.topics, made)
	}
}

// groupsOf are the groups of a topic's partitions, of which there may be more later.
func groupsOf(t *meta.Topic) []api.GroupID {
	var groups []api.GroupID
	for _, p := range t.Partitions {
		groups = append(groups, p.Group)
	}
	return groups
}

func (o *Oracle) known(id api.TopicID) *Topic {
	for i := range o.topics {
		if o.topics[i].ID == id {
			return &o.topics[i]
		}
	}
	return nil
}
