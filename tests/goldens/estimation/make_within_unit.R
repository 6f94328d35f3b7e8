# Golden values of the estimators for designs within units: run `Rscript make_within_unit.R` here.
# R 4.2 with estimatr, clubSandwich and lmerTest. Writes data_within_*.csv and, from them,
# crossover.csv, order_effects.csv, mixed.csv, wilcoxon.csv and mcnemar.csv.
suppressPackageStartupMessages({library(estimatr); library(lmerTest)})
options(digits = 17)
set.seed(20241123)
save_as <- function(rows, name) write.csv(rows, paste0(name, ".csv"), row.names = FALSE)

# ---- datasets: y, z (1 = treatment), unit, order (the place of the row's arm), cluster ----
long <- function(y1, y0, order1, order0, ...)
  data.frame(unit = rep(seq_along(y1), 2), y = c(y1, y0), z = rep(c(1, 0), each = length(y1)),
             order = c(order1, order0), ...)
n <- 26                                                    # two periods, unequal sequences
first <- sample(rep(1:2, c(11, 15)))
level <- rnorm(n, 0, 3)
data_two <- long(level + 0.8 + 0.5 * (first == 2) + rexp(n), level + 0.5 * (first == 1) + rnorm(n),
                 first, 3 - first)
m <- 60                                                    # two of four places each
places <- t(replicate(m, sample(4, 2)))
pi4 <- c(0, 0.4, 0.9, 0.3)
level <- rnorm(m, 0, 2)
family <- rep(1:15, times = c(1, 7, 2, 6, 3, 5, 4, 4, 8, 2, 3, 6, 1, 5, 3))
data_four <- long(level + 0.5 + pi4[places[, 1]] + rnorm(m, 0, 1.5) + rnorm(15)[family],
                  level + pi4[places[, 2]] + rnorm(m), places[, 1], places[, 2],
                  cluster = rep(family, 2))
gone <- c(3, 9, 14, 60 + c(5, 9 + 11, 31, 44))             # units that lack one arm
data_gaps <- data_four[-gone, c("unit", "y", "z")]
data_negative <- with(list(a = rnorm(12)), long(a + 0.3 * rnorm(12), -a + 0.3 * rnorm(12), 1, 2))
sizes <- c(3, 14, 5, 9, 2, 11, 7, 6, 4, 8, 12, 5)
cl <- rep(1:12, times = sizes)
zc <- as.integer(cl %in% c(1, 2, 5, 8, 11, 12))
xc <- rnorm(length(cl)) + rnorm(12)[cl]
data_groups <- data.frame(y = 0.7 * zc + 0.6 * xc + 1.2 * rnorm(12)[cl] + rnorm(length(cl)),
                          z = zc, x = xc, cluster = cl, block = (cl - 1) %% 3)
data_mixture <- data.frame(y = 0.4 * (1:80 %% 2) + rnorm(10)[rep(1:10, 8)] + rnorm(80),
                           z = 1:80 %% 2, cluster = rep(1:10, 8))
for (name in ls(pattern = "^data_")) save_as(get(name), sub("data_", "data_within_", name))

wide <- function(d) {
  w <- merge(d[d$z == 1, ], d[d$z == 0, ], by = "unit", suffixes = c("1", "0"))
  w$d <- w$y1 - w$y0; w$s <- w$y1 + w$y0
  for (p in sort(unique(d$order))) w[[paste0("p", p)]] <- (w$order1 == p) - (w$order0 == p)
  w
}
row <- function(case, data, b, se, df, p, low, high) data.frame(case = case, data = data,
  estimate = b, std_error = se, df = df, p_value = p, conf_low = low, conf_high = high)

# ---- crossover: least squares of the differences ----
from_robust <- function(case, data, fit, term = "(Intercept)") {
  i <- match(term, fit$term)
  row(case, data, fit$coefficients[[i]], fit$std.error[[i]], fit$df[[i]], fit$p.value[[i]],
      fit$conf.low[[i]], fit$conf.high[[i]])
}
two <- wide(data_two); four <- wide(data_four); four$cluster <- four$cluster1
save_as(rbind(
  from_robust("two periods", "two", lm_robust(d ~ p2, two, se_type = "HC2")),
  from_robust("four periods", "four", lm_robust(d ~ p2 + p3 + p4, four, se_type = "HC2")),
  from_robust("four periods in clusters", "four",
              lm_robust(d ~ p2 + p3 + p4, four, clusters = cluster, se_type = "CR2"))), "crossover")
# Hills and Armitage: half the difference of the two sequences' mean differences.
classic <- t.test(d ~ order1, two)
fit2 <- lm_robust(d ~ p2, two, se_type = "HC2")
stopifnot(abs(mean(classic$estimate) - coef(fit2)[[1]]) < 1e-12,
          abs(classic$stderr / 2 - fit2$std.error[[1]]) < 1e-12)

# ---- period effects (summing to zero), their joint test, carry-over ----
period <- function(data, w, p, others, ...) {
  base <- w[[paste0("p", setdiff(1:4, c(p, others)))]]
  for (q in others) w[[paste0("q", q)]] <- w[[paste0("p", q)]] - base
  w[["q"]] <- w[[paste0("p", p)]] - base
  fit <- lm_robust(reformulate(c(paste0("q", others), "q"), "d"), w, ...)
  cbind(from_robust(paste("period", p), data, fit, "q"), statistic = fit$statistic[["q"]], df_numerator = NA)
}
last <- function(p) setdiff(1:4, c(p, min(setdiff(1:4, p))))
plain4 <- do.call(rbind, lapply(1:4, function(p) period("four", four, p, last(p), se_type = "HC2")))
fit4 <- lm(d ~ p2 + p3 + p4, four)
joint_test <- function(case, cluster) {
  w <- clubSandwich::Wald_test(fit4, clubSandwich::constrain_zero(2:4), vcov = "CR2",
                               cluster = cluster, test = "HTZ")
  cbind(row(case, "four", NA, NA, w$df_denom, w$p_val, NA, NA), statistic = w$Fstat, df_numerator = w$df_num)
}
joint <- rbind(joint_test("no period effects", seq_len(m)), joint_test("no period effects, clusters", four$cluster))
two$q <- two$p2 - two$p1
f <- lm_robust(d ~ q, two, se_type = "HC2")
plain2 <- cbind(from_robust("period 2", "two", f, "q"), statistic = f$statistic[["q"]], df_numerator = NA)
w <- t.test(two$s[two$order1 == 1], two$s[two$order1 == 2])
carry <- cbind(row("carry-over", "two", -diff(w$estimate)[[1]], w$stderr, w$parameter[[1]], w$p.value,
                   w$conf.int[1], w$conf.int[2]), statistic = w$statistic[[1]], df_numerator = NA)
save_as(rbind(plain2, carry, plain4, joint), "order_effects")

# ---- mixed: lmerTest, its optimum refined to where the deviance's slope is zero ----
quiet <- function(...) lmerControl(..., check.conv.singular = "ignore")
refined <- function(formula, d) {
  fit <- lmer(formula, d, control = quiet(optCtrl = list(xtol_abs = 1e-10, ftol_abs = 1e-12)))
  theta <- getME(fit, "theta")[[1]]
  if (theta < 1e-6) return(fit)
  deviance <- lmer(formula, d, devFunOnly = TRUE)
  slope <- function(t) numDeriv::grad(deviance, t)
  best <- uniroot(slope, theta * c(.999, 1.001), tol = 1e-14)$root
  lmer(formula, d, start = best, control = quiet(optimizer = NULL))
}
from_lmer <- function(case, data, formula) {
  fit <- refined(formula, get(paste0("data_", data)))
  s <- coef(summary(fit))["z", ]
  reach <- qt(.975, s[["df"]]) * s[["Std. Error"]]
  cbind(row(case, data, s[["Estimate"]], s[["Std. Error"]], s[["df"]], s[["Pr(>|t|)"]],
            s[["Estimate"]] - reach, s[["Estimate"]] + reach), theta = getME(fit, "theta")[[1]])
}
save_as(rbind(
  from_lmer("balanced crossover", "four", y ~ z + (1 | unit)),
  from_lmer("units that lack an arm", "gaps", y ~ z + (1 | unit)),
  from_lmer("singular", "negative", y ~ z + (1 | unit)),
  from_lmer("clusters", "groups", y ~ z + (1 | cluster)),
  from_lmer("clusters with a covariate", "groups", y ~ x + z + (1 | cluster)),
  from_lmer("clusters with blocks", "groups", y ~ factor(block) + z + (1 | cluster)),
  from_lmer("arms mixed within clusters", "mixture", y ~ z + (1 | cluster))), "mixed")

# ---- Wilcoxon: zeros are dropped, exact below 50 without zeros and ties ----
sets <- list(
  small = rnorm(14, .5), exact49 = rexp(49) - .4, normal61 = rnorm(61, .3, 2),
  ties = round(rnorm(30, .4), 1) + .05, zeros = c(rep(0, 40), rnorm(22, .6, 1)),
  tied_zeros = c(rep(0, 20), round(rnorm(25, .3), 1)), sleep = with(sleep, extra[11:20] - extra[1:10]))
sets$ties <- sets$ties[sets$ties != 0]
write.csv(do.call(rbind, lapply(names(sets), function(s) data.frame(set = s, d = sets[[s]]))),
          "data_within_differences.csv", row.names = FALSE)
saved <- read.csv("data_within_differences.csv")           # ties are those of the file
sets <- split(saved$d, factor(saved$set, unique(saved$set)))
by_wilcox <- do.call(rbind, lapply(names(sets), function(s) do.call(rbind, lapply(c(.95, .9), function(level) {
  d <- sets[[s]]
  w <- suppressWarnings(wilcox.test(d, conf.int = TRUE, conf.level = level, tol.root = 1e-13))
  kept <- d[d != 0]; means <- outer(kept, kept, "+")
  one <- suppressWarnings(wilcox.test(kept, mu = .7, alternative = "less",
                                      exact = if (any(d == 0)) FALSE else NULL))
  data.frame(set = s, level = level, statistic = w$statistic[[1]], p_value = w$p.value,
             conf_low = w$conf.int[1], conf_high = w$conf.int[2], of_r = w$estimate[[1]],
             estimate = median(means[!lower.tri(means)] / 2), below = one$p.value)
}))))
save_as(by_wilcox, "wilcoxon")

# ---- McNemar, exact: gained b, lost c; Tango's test by searching the restricted likelihood ----
tango <- function(b, c, n, effect) {
  likelihood <- function(q) {                                # q: the probability to lose
    p <- q + effect; rest <- 1 - p - q
    sum(ifelse(c(b, c, n - b - c) == 0, 0, c(b, c, n - b - c) * log(c(p, q, rest))))
  }
  ends <- c(max(0, -effect), (1 - effect) / 2)
  q <- optimize(likelihood, ends + c(1e-15, -1e-15), maximum = TRUE, tol = 1e-13)$maximum
  if (likelihood(ends[1] + 1e-15) > likelihood(q)) q <- ends[1]
  (b - c - n * effect) / sqrt(n * (2 * q + effect - effect^2))
}
tables <- list(c(12, 2, 20, 16), c(5, 0, 14, 22), c(1, 7, 1, 12), c(9, 8, 2, 1), c(1, 0, 3, 3),
               c(40, 22, 100, 3), c(0, 0, 12, 18))
save_as(do.call(rbind, lapply(tables, function(v) data.frame(gained = v[1], lost = v[2], both = v[3],
  neither = v[4], p_value = if (v[1] + v[2] == 0) 1 else binom.test(v[1], v[1] + v[2])$p.value,
  below = pnorm(tango(v[1], v[2], sum(v), .15)),
  above = pnorm(tango(v[1], v[2], sum(v), -.15), lower.tail = FALSE)))), "mcnemar")
