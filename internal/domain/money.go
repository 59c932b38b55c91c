package domain

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Money is an amount in micro-units: millionths of the currency's unit.
type Money struct {
	Micros   int64  `json:"micros"`
	Currency string `json:"currency"` // ISO 4217, in capitals
}

// micros is how many micro-units are one unit, and microDigits how many decimals that are.
const (
	micros      = 1_000_000
	microDigits = 6
)

func (m Money) String() string {
	sign, amount := "", uint64(m.Micros)
	if m.Micros < 0 {
		sign, amount = "-", -amount
	}
	return fmt.Sprintf("%s%d.%06d %s", sign, amount/micros, amount%micros, m.Currency)
}

// ParseMoney reads a decimal amount, such as -0.00750, exactly, and its currency in letters of either case. It returns KindInvalid for what is
// no such amount or has parts of a micro-unit.
func ParseMoney(amount, currency string) (Money, error) {
	parsed, err := parseMicros(amount)
	if err != nil {
		return Money{}, err
	}
	currency = strings.ToUpper(currency)
	if len(currency) != 3 || strings.Trim(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return Money{}, Errorf(KindInvalid, "want a currency of three letters, such as USD, got %q", currency)
	}
	return Money{parsed, currency}, nil
}

func parseMicros(amount string) (int64, error) {
	wrong := Errorf(KindInvalid, "want an amount with up to %d decimals, such as 0.15, got %q", microDigits, amount)
	digits, negative := strings.CutPrefix(amount, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	fraction = strings.TrimRight(fraction, "0")
	if whole == "" || strings.Trim(whole+fraction, "0123456789") != "" || (point && strings.HasSuffix(digits, ".")) || len(fraction) > microDigits {
		return 0, wrong
	}
	parsed, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", microDigits-len(fraction)), 10, 64)
	if err != nil { // more than an int64 holds
		return 0, wrong
	}
	if negative {
		parsed = -parsed
	}
	return parsed, nil
}

// ModelPrice is what a million tokens of a model cost.
type ModelPrice struct {
	Input, Output Money // of one currency
}

// MaxModelPrice is the most that a million tokens may cost, in micro-units: no number of tokens that is counted then exceeds an int64.
const MaxModelPrice = 1000 * micros

// ParseModelPrice reads the prices of a million tokens, each from 0 to 1000 with up to six decimals.
func ParseModelPrice(input, output, currency string) (price ModelPrice, err error) {
	if price.Input, err = ParseMoney(input, currency); err != nil {
		return price, err
	}
	if price.Output, err = ParseMoney(output, currency); err != nil {
		return price, err
	}
	if least, most := min(price.Input.Micros, price.Output.Micros), max(price.Input.Micros, price.Output.Micros); least < 0 || most > MaxModelPrice {
		return price, Errorf(KindInvalid, "want prices from 0 to %d", MaxModelPrice/micros)
	}
	return price, nil
}

// Cost returns what a call costs, in whole micro-units, half of one rounded up. What a provider counts is believed up to an int32, which is
// what is stored.
func (p ModelPrice) Cost(inputTokens, outputTokens int) Money {
	tokens := func(n int) int64 { return int64(min(max(n, 0), math.MaxInt32)) }
	sum := tokens(inputTokens)*p.Input.Micros + tokens(outputTokens)*p.Output.Micros
	return Money{(sum + micros/2) / micros, p.Input.Currency}
}
