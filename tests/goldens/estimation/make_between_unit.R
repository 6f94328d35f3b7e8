# Golden values of counts, ranks, ratios, instruments and kinds of effect size: run
# `Rscript make_between_unit.R` in this folder. R 4.2 with sandwich, AER, estimatr, effectsize.
# Writes data_*.csv and, from them, the CSV files of golden values, which are all that tests read.
suppressPackageStartupMessages({library(sandwich); library(AER); library(estimatr); library(effectsize)})
options(digits = 17)
set.seed(20250614)
save <- function(d, name) write.csv(d, paste0(name, ".csv"), row.names = FALSE)

# ---- datasets: columns y, z (1 = treatment), covariates, d (treatment taken) ----
sprays <- subset(InsectSprays, spray %in% c("C", "F"))
data_sprays <- data.frame(y = sprays$count, z = as.integer(sprays$spray == "F"))
n <- 160
data_counts <- data.frame(x = rnorm(n), v = rexp(n), z = sample(rep(0:1, c(90, 70))))
data_counts$y <- rnbinom(n, size = 1.5, mu = exp(.6 + .5 * data_counts$x - .3 * data_counts$v + .4 * data_counts$z))
data_ranks <- data.frame(y = c(rexp(14), rexp(17) + .3), z = rep(0:1, c(14, 17)))
data_large <- data.frame(y = c(rt(70, 3), 2 * rt(55, 3) + .4), z = rep(0:1, c(70, 55)))
m <- 140
data_takeup <- data.frame(z = sample(rep(0:1, each = m / 2)), able = rbinom(m, 1, .45))
data_takeup$d <- data_takeup$z * data_takeup$able
data_takeup$y <- 1 + .7 * data_takeup$able + (1 + rnorm(m)) * data_takeup$d + rnorm(m)
two <- data.frame(z = sample(rep(0:1, c(60, 40))), kind = sample(c("always", "never", "complier"), 100, TRUE))
two$d <- ifelse(two$kind == "always", 1, ifelse(two$kind == "never", 0, two$z))
two$y <- rnorm(100) + 1.5 * two$d + (two$kind == "always")
data_contaminated <- two[c("y", "z", "d")]
weak <- data.frame(z = rep(0:1, each = 30), d = c(rep(0, 30), rep(c(1, 1, 0), c(1, 1, 28))))
weak$y <- rnorm(60) + .5 * weak$d
data_weak <- weak
for (name in ls(pattern = "^data_")) save(get(name), name)
binary <- read.csv("data_binary.csv"); cars <- read.csv("data_cars.csv")

# ---- g-computation: differences and ratios of two standardised means, sandwich by hand ----
standardise <- function(d, formula, family) {
  fit <- glm(formula, family, d, control = glm.control(epsilon = 1e-15, maxit = 100))
  X <- lapply(1:0, function(z) { m <- model.matrix(fit); m[, "z"] <- z; m })
  at <- lapply(X, function(m) family$linkinv(drop(m %*% coef(fit))))
  means <- sapply(at, mean)
  influence <- sapply(1:2, function(i) at[[i]] - means[i] +
    drop(estfun(fit) %*% bread(fit) %*% colMeans(X[[i]] * family$mu.eta(drop(X[[i]] %*% coef(fit))))))
  n <- nrow(d); k <- length(coef(fit))
  list(means = means, V = crossprod(influence) / n^2 * n / (n - k), df = n - k)
}
inference <- function(estimate, se, df) data.frame(estimate, std_error = se, df,
  p_value = 2 * pt(-abs(estimate / se), df), conf_low = estimate - qt(.975, df) * se,
  conf_high = estimate + qt(.975, df) * se)
difference <- function(case, data, d, formula, covariates) {
  s <- standardise(d, formula, poisson())
  cbind(data.frame(case, data, covariates),
        inference(s$means[1] - s$means[2], sqrt(sum(s$V * c(1, -1, -1, 1))), s$df))
}
counts <- data_counts
save(rbind(difference("sprays", "sprays", data_sprays, y ~ z, ""),
           difference("counts", "counts", counts, y ~ z, ""),
           difference("counts x", "counts", counts, y ~ x + z, "x"),
           difference("counts x v", "counts", counts, y ~ x + v + z, "x v")), "counts")
ratio <- function(kind, data, d, formula, covariates, family) {
  s <- standardise(d, formula, family); m <- s$means
  g <- if (kind == "odds_ratio") 1 / (m * (1 - m)) else 1 / m
  f <- if (kind == "odds_ratio") qlogis(m) else log(m)
  b <- f[1] - f[2]; se <- sqrt(drop(c(g[1], -g[2]) %*% s$V %*% c(g[1], -g[2])))
  data.frame(kind, data, covariates, value = exp(b), low = exp(b - qt(.975, s$df) * se),
             high = exp(b + qt(.975, s$df) * se))
}
save(rbind(ratio("risk_ratio", "cars", cars, y ~ w + z, "w", binomial()),
           ratio("odds_ratio", "cars", cars, y ~ w + z, "w", binomial()),
           ratio("risk_ratio", "binary", binary, y ~ x + v + z, "x v", binomial()),
           ratio("odds_ratio", "binary", binary, y ~ x + v + z, "x v", binomial()),
           ratio("rate_ratio", "sprays", data_sprays, y ~ z, "", poisson()),
           ratio("rate_ratio", "counts", counts, y ~ z, "", poisson()),
           ratio("rate_ratio", "counts", counts, y ~ x + v + z, "x v", poisson())), "adjusted_ratios")

# ---- rank sums: wilcox.test(conf.int = TRUE), its root-finding made exact ----
ranks <- function(data, d, level) {
  x <- d$y[d$z == 1]; y <- d$y[d$z == 0]
  w <- suppressWarnings(wilcox.test(x, y, conf.int = TRUE, conf.level = level, tol.root = 1e-13))
  data.frame(data, level, exact = !grepl("continuity", w$method), statistic = unname(w$statistic),
             p_value = w$p.value, estimate = median(outer(x, y, "-")),
             conf_low = w$conf.int[1], conf_high = w$conf.int[2], r_estimate = unname(w$estimate))
}
few <- data.frame(y = c(1.1, 2.3, 5.2, .7), z = c(1, 1, 0, 0)); save(few, "data_four")
sleep0 <- read.csv("data_sleep.csv"); mt <- read.csv("data_mtcars.csv")
save(do.call(rbind, lapply(c(.95, .9), function(level) rbind(
  ranks("ranks", data_ranks, level), ranks("large", data_large, level), ranks("sprays", data_sprays, level),
  ranks("counts", counts, level), ranks("mtcars", mt, level), ranks("sleep", sleep0, level),
  ranks("four", few, level)))), "rank_sums")

# ---- instruments: 2SLS with HC2 errors (estimatr), held against AER and a search for AR's limits ----
wald <- function(data, d) {
  fit <- iv_robust(y ~ d | z, d, se_type = "HC2")
  aer <- ivreg(y ~ d | z, data = d)
  stopifnot(all.equal(unname(coef(aer)["d"]), fit$coefficients[["d"]], tolerance = 1e-10))
  # HC2 by hand from AER's residuals: the instrument's own leverage.
  u <- residuals(aer); h <- ave(rep(1, nrow(d)), d$z, FUN = function(v) 1 / length(v))
  dx <- mean(d$d[d$z == 1]) - mean(d$d[d$z == 0]); nz <- table(d$z)
  by_hand <- sqrt(sum((u^2 / (1 - h)) / ifelse(d$z == 1, nz["1"], nz["0"])^2)) / abs(dx)
  stopifnot(all.equal(unname(by_hand), fit$std.error[["d"]], tolerance = 1e-8))
  first <- lm_robust(d ~ z, d, se_type = "HC2")
  cbind(data.frame(case = "wald", data), inference(fit$coefficients[["d"]], fit$std.error[["d"]], nrow(d) - 2),
        first_stage = unname((first$coefficients["z"] / first$std.error["z"])^2))
}
p_of <- function(b, d) {
  d$u <- d$y - b * d$d
  lm_robust(u ~ z, d, se_type = "HC2")$p.value[["z"]]
}
anderson_rubin <- function(data, d) {
  b <- iv_robust(y ~ d | z, d)$coefficients[["d"]]
  far <- 1e5; limit <- function(end) if (p_of(end, d) > .05) NA else
    uniroot(function(v) p_of(v, d) - .05, sort(c(b, end)), tol = 1e-12)$root
  data.frame(case = "anderson_rubin", data, estimate = b, std_error = NA, df = nrow(d) - 2,
             p_value = p_of(0, d), conf_low = limit(b - far), conf_high = limit(b + far), first_stage = NA)
}
sets <- list(takeup = data_takeup, contaminated = data_contaminated, weak = data_weak)
save(do.call(rbind, c(Map(wald, names(sets), sets), Map(anderson_rubin, names(sets), sets))), "instruments")

# ---- kinds of effect size ----
blocked <- read.csv("data_blocked.csv")
split_arms <- function(d) list(x = d$y[d$z == 1], y = d$y[d$z == 0])
kinds <- list()
keep <- function(kind, data, level, value, low, high) kinds[[length(kinds) + 1]] <<-
  data.frame(kind, data, level, value, low, high)
# Cliff (1996): the unbiased variance of delta from the dominance matrix, Feng and Cliff's (2004) limits
feng_cliff <- function(x, y, level) {
  D <- sign(outer(x, y, "-")); d <- mean(D); m <- length(x); n <- length(y)
  s2 <- (n^2 * sum((rowMeans(D) - d)^2) + m^2 * sum((colMeans(D) - d)^2) - sum((D - d)^2)) / (m * n * (m - 1) * (n - 1))
  s2 <- max(s2, (1 - d^2) / (m * n - 1)); z <- qt(1 - (1 - level) / 2, m + n - 2)
  reach <- z * sqrt(s2) * sqrt((1 - d^2)^2 + z^2 * s2); base <- 1 - d^2 + z^2 * s2
  c(d, (d - d^3 - reach) / base, (d - d^3 + reach) / base)
}
# Newcombe (2006), method 5, where the arms are fully apart
newcombe5 <- function(m, n, level) {
  z <- qnorm(1 - (1 - level) / 2); N <- (m + n) / 2
  f <- function(t) (1 - t) - z^2 * t * (1 + (N - 1) * ((1 - t) / (2 - t) + t / (1 + t))) / (m * n)
  c(1, 2 * uniroot(f, c(0, 1), tol = 1e-14)$root - 1, 1)
}
for (name in c("mtcars", "blocked", "ranks", "large", "sprays", "counts")) for (level in c(.95, .9)) {
  arms <- split_arms(if (exists(paste0("data_", name))) get(paste0("data_", name)) else read.csv(paste0("data_", name, ".csv")))
  fit <- cohens_d(arms$x, arms$y, ci = level); keep("cohen_d", name, level, fit[[1]], fit$CI_low, fit$CI_high)
  fit <- glass_delta(arms$x, arms$y, ci = level); keep("glass_delta", name, level, fit[[1]], fit$CI_low, fit$CI_high)
  v <- if (min(arms$x) > max(arms$y)) newcombe5(length(arms$x), length(arms$y), level) else feng_cliff(arms$x, arms$y, level)
  stopifnot(all.equal(v[1], cliffs_delta(arms$x, arms$y, verbose = FALSE)[[1]]))
  stopifnot(all.equal((1 + v[1]) / 2, p_superiority(arms$x, arms$y, parametric = FALSE, verbose = FALSE)[[1]]))
  keep("cliff_delta", name, level, v[1], v[2], v[3])
  keep("cles", name, level, (1 + v[1]) / 2, (1 + v[2]) / 2, (1 + v[3]) / 2)
}
save(do.call(rbind, kinds), "effect_size_kinds")

# ---- unadjusted ratios of two proportions: score limits by search ----
score_ratio <- function(x1, n1, x0, n0, odds) {
  N <- n1 + n0
  under <- function(r) { # the reference's risk under the hypothesis: the root of the likelihood's slope
    slope <- if (odds) function(p) x1 + x0 - n1 * plogis(qlogis(p) + log(r)) - n0 * p else
      function(p) (x1 + x0) / p - (n1 - x1) * r / (1 - r * p) - (n0 - x0) / (1 - p)
    top <- if (odds) 1 else min(1, 1 / r)
    uniroot(slope, c(1e-9, 1 - 1e-9) * top, tol = 1e-15)$root
  }
  function(lr) {
    r <- exp(lr); p <- under(r)
    if (!odds) return((x1 / n1 - r * x0 / n0) / sqrt((r * p * (1 - r * p) / n1 + r^2 * p * (1 - p) / n0) * N / (N - 1)))
    q <- plogis(qlogis(p) + lr)
    (x1 - n1 * q) * sqrt((1 / (n1 * q * (1 - q)) + 1 / (n0 * p * (1 - p))) * (N - 1) / N)
  }
}
tables <- list(c(56, 70, 48, 80), c(9, 10, 3, 10), c(15, 40, 6, 44))
save(do.call(rbind, lapply(c(FALSE, TRUE), function(odds) do.call(rbind, lapply(tables, function(v) {
  p <- v[1] / v[2]; q <- v[3] / v[4]; b <- if (odds) qlogis(p) - qlogis(q) else log(p / q)
  f <- score_ratio(v[1], v[2], v[3], v[4], odds)
  root <- function(side, z) uniroot(function(l) f(l) - z, sort(c(b, b + side * 4)), tol = 1e-12)$root
  data.frame(kind = if (odds) "odds_ratio" else "risk_ratio", x1 = v[1], n1 = v[2], x0 = v[3], n0 = v[4],
             value = exp(b), low = exp(root(-1, qnorm(.975))), high = exp(root(1, qnorm(.025))))
})))), "score_ratios")

# ---- ratios of means in clusters: the delta method on CR2, and within units on the covariance ----
clustered <- read.csv("data_clustered.csv"); clustered$y <- round(exp(clustered$y / 2))
save(clustered, "data_cluster_counts")
straddling <- data.frame(y = rpois(90, 2 + rep(rexp(15), each = 6)), z = rep(0:1, 45), cluster = rep(1:15, each = 6))
save(straddling, "data_straddling_counts")
cluster_ratio <- function(data, d) {
  fit <- lm_robust(y ~ z, d, clusters = cluster, se_type = "CR2")
  m <- c(sum(coef(fit)), coef(fit)[[1]]); g <- c(1 / m[1] - 1 / m[2], 1 / m[1])
  data.frame(data, value = m[1] / m[2], log_error = sqrt(drop(g %*% vcov(fit) %*% g)))
}
pairs <- data.frame(a = rpois(40, 3)); pairs$b <- pairs$a + rpois(40, 1)
save(data.frame(unit = rep(1:40, each = 2), z = rep(1:0, 40), y = as.vector(t(pairs))), "data_paired_counts")
V <- cov(pairs) / 40; m <- colMeans(pairs); g <- c(1 / m[1], -1 / m[2])
save(rbind(cluster_ratio("cluster_counts", clustered), cluster_ratio("straddling_counts", straddling),
           data.frame(data = "paired_counts", value = m[[1]] / m[[2]], log_error = sqrt(drop(g %*% V %*% g)))), "ratio_errors")
