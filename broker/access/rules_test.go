package access

import (
	"fmt"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"pgregory.net/rapid"
)

// allowed is what Index.Allows is to give, by looking at every rule: Kafka's rules, word
// by word.
func allowed(rules []Rule, principal string, n Need) bool {
	about := func(r Rule) bool {
		named := r.Pattern == api.Acl_LITERAL && (r.Name == n.Name || r.Name == Any) ||
			r.Pattern == api.Acl_PREFIXED && strings.HasPrefix(n.Name, r.Name)
		return named && r.Resource == n.Resource && (r.Principal == principal || r.Principal == Everyone)
	}
	implies := func(o api.Acl_Operation) bool {
		switch o {
		case api.Acl_READ, api.Acl_WRITE, api.Acl_DELETE, api.Acl_ALTER:
			return n.Operation == api.Acl_DESCRIBE
		}
		return false
	}
	some := false
	for _, r := range rules {
		same := r.Operation == n.Operation || r.Operation == api.Acl_ALL_OPERATIONS
		switch {
		case !about(r):
		case r.Permission == api.Acl_DENY && same:
			return false
		case r.Permission == api.Acl_ALLOW && (same || implies(r.Operation)):
			some = true
		}
	}
	return some
}

var names = rapid.SampledFrom([]string{"a", "ab", "abc", "abd", "b", "ba", Any})

func drawRule(t *rapid.T) Rule {
	r := Rule{
		Principal:  rapid.SampledFrom([]string{"User:x", "User:y", Everyone}).Draw(t, "principal"),
		Resource:   rapid.SampledFrom([]api.Acl_Resource{api.Acl_TOPIC, api.Acl_GROUP, api.Acl_CLUSTER}).Draw(t, "resource"),
		Operation:  api.Acl_Operation(rapid.Int32Range(1, int32(lastOperation)).Draw(t, "operation")),
		Name:       names.Draw(t, "name"),
		Pattern:    rapid.SampledFrom([]api.Acl_Pattern{api.Acl_LITERAL, api.Acl_PREFIXED}).Draw(t, "pattern"),
		Permission: rapid.SampledFrom([]api.Acl_Permission{api.Acl_ALLOW, api.Acl_ALLOW, api.Acl_DENY}).Draw(t, "permission"),
	}
	if r.Resource == api.Acl_CLUSTER {
		r.Name, r.Pattern = ClusterName, api.Acl_LITERAL
	}
	return r
}

func TestIndexAgainstEveryRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rules []Rule
		for range rapid.IntRange(0, 12).Draw(t, "rules") {
			if r := drawRule(t); r.Check() == nil {
				rules = append(rules, r)
			}
		}
		x := NewIndex(rules)
		for range 40 {
			n := Need{
				Operation: api.Acl_Operation(rapid.Int32Range(2, int32(lastOperation)).Draw(t, "operation")),
				Resource:  rapid.SampledFrom([]api.Acl_Resource{api.Acl_TOPIC, api.Acl_GROUP}).Draw(t, "resource"),
				Name:      names.Draw(t, "name"),
			}
			if rapid.IntRange(0, 5).Draw(t, "about") == 0 {
				n.Resource, n.Name = api.Acl_CLUSTER, ClusterName
			}
			who := rapid.SampledFrom([]string{"User:x", "User:y", "User:z"}).Draw(t, "who")
			if got, want := x.Allows(who, n), allowed(rules, who, n); got != want {
				t.Fatalf("%s %+v: %v, want %v by %v", who, n, got, want, rules)
			}
			some := Need{Operation: n.Operation, Resource: n.Resource, Some: true}
			if allowed(rules, who, n) && !x.Allows(who, some) {
				t.Fatalf("%s may %+v, but nothing: %v", who, n, rules)
			}
		}
	})
}

// Something is allowed only if a resource can be named on which it is: one of a name that a
// rule has, or of a longer one.
func TestSomeAgainstEveryName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rules []Rule
		for range rapid.IntRange(1, 4).Draw(t, "rules") {
			r := drawRule(t)
			r.Operation, r.Resource, r.Name = api.Acl_WRITE, api.Acl_TOPIC, rapid.SampledFrom([]string{"a", "ab", Any}).Draw(t, "topic")
			r.Permission = rapid.SampledFrom([]api.Acl_Permission{api.Acl_ALLOW, api.Acl_DENY}).Draw(t, "allow or deny")
			rules = append(rules, r)
		}
		possible := false
		for _, r := range rules {
			for _, name := range []string{r.Name, r.Name + "!", "!"} {
				possible = possible || allowed(rules, "User:x", Need{Operation: api.Acl_WRITE, Resource: api.Acl_TOPIC, Name: name})
			}
		}
		if got := NewIndex(rules).Allows("User:x", Need{Operation: api.Acl_WRITE, Resource: api.Acl_TOPIC, Some: true}); got != possible {
			t.Fatalf("x writes to some topic: %v, want %v by %v", got, possible, rules)
		}
	})
}

func TestFilterFitsWhatItNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule, other := drawRule(t), drawRule(t)
		filter := rule
		for i, unset := range []func(){
			func() { filter.Principal = "" }, func() { filter.Operation = 0 }, func() { filter.Resource = 0 },
			func() { filter.Name = "" }, func() { filter.Pattern = 0 }, func() { filter.Permission = 0 },
		} {
			if rapid.Bool().Draw(t, fmt.Sprint("unset ", i)) {
				unset()
			}
		}
		if !filter.Fits(rule) || filter.CheckFilter() != nil {
			t.Fatalf("%v does not fit %v", filter, rule)
		}
		same := func(set bool, equal bool) bool { return !set || equal }
		want := same(filter.Principal != "", filter.Principal == other.Principal) &&
			same(filter.Operation != 0, filter.Operation == other.Operation) &&
			same(filter.Resource != 0, filter.Resource == other.Resource) &&
			same(filter.Name != "", filter.Name == other.Name) &&
			same(filter.Pattern != 0, filter.Pattern == other.Pattern) &&
			same(filter.Permission != 0, filter.Permission == other.Permission)
		if filter.Fits(other) != want {
			t.Fatalf("%v fits %v: %v", filter, other, !want)
		}
		if (rule.Compare(other) == 0) != (rule == other) || rule.Compare(other) != -other.Compare(rule) {
			t.Fatalf("%v and %v compare as %d", rule, other, rule.Compare(other))
		}
	})
}

func TestRulesThatMakeNoSense(t *testing.T) {
	good := Rule{"User:x", api.Acl_READ, api.Acl_TOPIC, "t", api.Acl_LITERAL, api.Acl_ALLOW}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*Rule){
		"no principal":           func(r *Rule) { r.Principal = "" },
		"a principal of no kind": func(r *Rule) { r.Principal = "x" },
		"an empty user":          func(r *Rule) { r.Principal = UserPrefix },
		"a long principal":       func(r *Rule) { r.Principal = UserPrefix + strings.Repeat("x", maxPrincipalBytes) },
		"a control character":    func(r *Rule) { r.Principal = "User:x\n" },
		"what is no UTF-8":       func(r *Rule) { r.Name = "\xff" },
		"no name":                func(r *Rule) { r.Name = "" },
		"a long name":            func(r *Rule) { r.Name = strings.Repeat("x", maxNameBytes+1) },
		"no operation":           func(r *Rule) { r.Operation = 0 },
		"a negative operation":   func(r *Rule) { r.Operation = -1 },
		"an unknown operation":   func(r *Rule) { r.Operation = lastOperation + 1 },
		"what only nodes do":     func(r *Rule) { r.Operation = api.Acl_CLUSTER_ACTION },
		"no resource":            func(r *Rule) { r.Resource = 0 },
		"an unknown resource":    func(r *Rule) { r.Resource = 9 },
		"no pattern":             func(r *Rule) { r.Pattern = 0 },
		"no permission":          func(r *Rule) { r.Permission = 0 },
		"another cluster":        func(r *Rule) { r.Resource, r.Operation = api.Acl_CLUSTER, api.Acl_ALTER },
		"writing to a group":     func(r *Rule) { r.Resource, r.Operation = api.Acl_GROUP, api.Acl_WRITE },
		"a prefix of the cluster": func(r *Rule) {
			*r = Rule{"User:x", api.Acl_ALTER, api.Acl_CLUSTER, ClusterName, api.Acl_PREFIXED, api.Acl_ALLOW}
		},
	} {
		r := good
		spoil(&r)
		if err := r.Check(); err.GetCode() != api.Code_INVALID_REQUEST || err.Message == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, filter := range []Rule{{Principal: "x"}, {Name: "\n"}, {Operation: -1}, {Operation: 10}, {Resource: 4}, {Pattern: 3}, {Permission: -1}} {
		if filter.CheckFilter() == nil {
			t.Errorf("the filter %v is fine", filter)
		}
	}
}

// What is asked for every request costs little, and no allocation.
func BenchmarkAllows(b *testing.B) {
	var rules []Rule
	for i := range 1000 {
		rules = append(rules,
			Rule{"User:x", api.Acl_READ, api.Acl_TOPIC, fmt.Sprint("topic", i), api.Acl_LITERAL, api.Acl_ALLOW},
			Rule{"User:x", api.Acl_WRITE, api.Acl_TOPIC, fmt.Sprint("prefix", i), api.Acl_PREFIXED, api.Acl_ALLOW},
			Rule{fmt.Sprint("User:", i), api.Acl_READ, api.Acl_TOPIC, Any, api.Acl_LITERAL, api.Acl_ALLOW})
	}
	x := NewIndex(rules)
	need := Need{Operation: api.Acl_WRITE, Resource: api.Acl_TOPIC, Name: "prefix999-and-more"}
	b.ReportAllocs()
	for b.Loop() {
		if !x.Allows("User:x", need) {
			b.Fatal("denied")
		}
	}
}
