// Package allowances breaks the rule of its name.
package allowances

//detvet:allow sizes the reason is here // want `nothing here breaks the rule sizes`
var a int

/* want `an allowance needs a reason: //detvet:allow maporder` */ //detvet:allow maporder
var b int

/* want `there is no rule "order" to allow` */ //detvet:allow order because
var c int
