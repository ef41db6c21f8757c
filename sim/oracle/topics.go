package oracle

import (
	"github.com/reprise-mq/reprise/broker/api"
)

// Topic is one incarnation of a topic, from its creation on.
type Topic struct {
	ID   api.TopicID
	Name string
	// Nth counts the incarnations of the name, from 1.
	Nth    int
	Groups []api.GroupID // by partition
}

// Topics are all that were ever created, in that order.
func (o *Oracle) Topics() []Topic { return o.topics }

// noteTopics takes in the topics that an entry of the meta group has created.
func (o *Oracle) noteTopics() {
	for _, t := range o.Meta().Topics() {
		if o.known(t.ID) {
			continue
		}
		made := Topic{ID: t.ID, Name: t.Name, Nth: 1}
		for _, before := range o.topics {
			if before.Name == t.Name {
				made.Nth++
			}
		}
		for _, p := range t.Partitions {
			made.Groups = append(made.Groups, p.Group)
		}
		o.topics = append(o.topics, made)
	}
}

func (o *Oracle) known(id api.TopicID) bool {
	for i := range o.topics {
		if o.topics[i].ID == id {
			return true
		}
	}
	return false
}
