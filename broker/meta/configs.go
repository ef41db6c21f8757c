package meta

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/reprise-mq/reprise/broker/api"
)

// Config is a config of a topic. The numbers stand in saved states and never change.
type Config byte

// The configs, by Kafka's names and with its meanings.
const (
	// MaxMessageBytes bounds a record batch, as sent and with its records
	// decompressed.
	MaxMessageBytes Config = iota
	// RetentionBytes is how much of each partition is kept at least; NoLimit: all.
	RetentionBytes
	// RetentionTime is for how many milliseconds after they were appended records are
	// kept at least; NoLimit: for ever.
	RetentionTime
	// SegmentBytes is the size at which segments are rolled.
	SegmentBytes
	configCount
)

// NoLimit is the value of a retention that keeps everything.
const NoLimit = -1

// Bounds of max.message.bytes.
const (
	MinMessageBytes     = 1 << 10
	HighestMessageBytes = 8 << 20
	DefaultMessageBytes = 1 << 20
)

// kinds of configs, by their numbers; the names ascend.
var kinds = [configCount]struct {
	name      string
	low, high int64
	// unlimited: NoLimit may be given too, and is the default.
	unlimited bool
	unit      string
}{
	{"max.message.bytes", MinMessageBytes, HighestMessageBytes, false, "bytes"},
	{"retention.bytes", 0, math.MaxInt64, true, "bytes"},
	{"retention.ms", 1, math.MaxInt64, true, "milliseconds"},
	{"segment.bytes", MinSegmentBytes, MaxSegmentBytes, false, "bytes"},
}

// configs are those that were set.
type configs struct {
	set    [configCount]bool
	values [configCount]int64
}

// Config gives the value of a config, and whether the topic has it set; otherwise it is
// the default.
func (s *State) Config(t *Topic, c Config) (value int64, set bool) {
	switch {
	case t.configs.set[c]:
		return t.configs.values[c], true
	case c == MaxMessageBytes:
		return DefaultMessageBytes, false
	case c == SegmentBytes:
		return int64(s.segmentBytes), false
	}
	return NoLimit, false
}

// Configs lists every config of a topic by name.
func (s *State) Configs(t *Topic) []*api.TopicConfig {
	var list []*api.TopicConfig
	for c := range configCount {
		value, set := s.Config(t, c)
		list = append(list, &api.TopicConfig{Name: kinds[c].name, Value: strconv.FormatInt(value, 10), IsDefault: !set})
	}
	return list
}

// ValidateAlter says why an alteration would be refused, nil if it would not.
func (s *State) ValidateAlter(r *api.AlterTopicRequest) *api.Error {
	if err := checkAlterTopic(r); err != nil {
		return err
	}
	t, err := s.ResolveTopic(r.GetTopic())
	if err != nil {
		return err
	}
	return keepsGroups(t)
}

func (s *State) alterTopic(r *api.AlterTopicRequest) *api.Response {
	t, err := s.ResolveTopic(r.Topic)
	if err != nil {
		return &api.Response{Error: err}
	}
	if err := keepsGroups(t); err != nil {
		return &api.Response{Error: err}
	}
	for _, name := range r.Unset {
		c, _ := configNamed(name)
		t.configs.set[c], t.configs.values[c] = false, 0
	}
	t.configs.put(r.Set)
	t.ConfigVersion++
	return &api.Response{Body: &api.Response_AlterTopic{AlterTopic: &api.AlterTopicResponse{}}}
}

// put sets what checkConfigs let through.
func (k *configs) put(list []*api.TopicConfig) {
	for _, one := range list {
		c, value, _ := parseConfig(one)
		k.set[c], k.values[c] = true, value
	}
}

func checkAlterTopic(r *api.AlterTopicRequest) *api.Error {
	if len(r.GetSet())+len(r.GetUnset()) == 0 {
		return api.Errorf(api.Code_INVALID_CONFIG, "nothing is to be changed; set or unset some of %s", configNames())
	}
	if err := checkConfigs(r.GetSet()); err != nil {
		return err
	}
	for i, name := range r.GetUnset() {
		_, ok := configNamed(name)
		set := slices.ContainsFunc(r.GetSet(), func(c *api.TopicConfig) bool { return c.GetName() == name })
		switch {
		case !ok:
			return unknownConfig(name)
		case set || slices.Contains(r.GetUnset()[:i], name):
			return api.Errorf(api.Code_INVALID_CONFIG, "config %s is given twice; set it once or unset it once", name)
		}
	}
	return checkTopicRef(r.GetTopic())
}

// checkConfigs checks configs that are to be set.
func checkConfigs(list []*api.TopicConfig) *api.Error {
	var seen [configCount]bool
	for _, one := range list {
		c, _, err := parseConfig(one)
		if err != nil {
			return err
		}
		if seen[c] {
			return api.Errorf(api.Code_INVALID_CONFIG, "config %s is given twice; set it once", kinds[c].name)
		}
		seen[c] = true
	}
	return nil
}

func configNamed(name string) (Config, bool) {
	for c := range configCount {
		if kinds[c].name == name {
			return c, true
		}
	}
	return 0, false
}

func parseConfig(one *api.TopicConfig) (Config, int64, *api.Error) {
	c, ok := configNamed(one.GetName())
	if !ok {
		return 0, 0, unknownConfig(one.GetName())
	}
	value, err := strconv.ParseInt(one.GetValue(), 10, 64)
	if err != nil || !validConfig(c, value) {
		return 0, 0, api.Errorf(api.Code_INVALID_CONFIG, "config %s cannot be %s; give %s", kinds[c].name, quote(one.GetValue()), rangeOf(c))
	}
	return c, value, nil
}

func validConfig(c Config, value int64) bool {
	k := &kinds[c]
	return value >= k.low && value <= k.high || k.unlimited && value == NoLimit
}

// rangeOf says what a config may be.
func rangeOf(c Config) string {
	k := &kinds[c]
	if k.unlimited {
		return fmt.Sprintf("%d or more %s, or %d for no limit", k.low, k.unit, NoLimit)
	}
	return fmt.Sprintf("%d to %d %s", k.low, k.high, k.unit)
}

func unknownConfig(name string) *api.Error {
	return api.Errorf(api.Code_INVALID_CONFIG, "there is no config %s of a topic; there are %s", quote(name), configNames())
}

func configNames() string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}
