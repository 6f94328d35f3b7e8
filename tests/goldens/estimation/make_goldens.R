# Golden values of the estimation tests: run `Rscript make_goldens.R` in this folder.
# R 4.2 with estimatr, clubSandwich and effectsize. Writes the datasets (data_*.csv) and, from
# them, the CSV files of golden values, which are all that the tests read.
suppressPackageStartupMessages({library(estimatr); library(clubSandwich); library(effectsize)})
options(digits = 17)
set.seed(20240607)

# ---- datasets: columns y, z (1 = treatment), and what the design needs ----
data_mtcars <- data.frame(y = mtcars$mpg, z = mtcars$am, x = mtcars$hp, w = mtcars$wt,
                          cluster = mtcars$carb)
data_npk <- data.frame(y = npk$yield, z = as.integer(npk$N) - 1, block = as.integer(npk$block))
data_sleep <- data.frame(y = sleep$extra, z = as.integer(sleep$group) - 1,
                         unit = as.integer(sleep$ID))
data_plants <- data.frame(y = PlantGrowth$weight, group = PlantGrowth$group)

n <- 120
block <- rep(1:8, times = c(9, 12, 15, 18, 10, 20, 16, 20))
unequal <- c(.3, .5, .25, .6, .5, .4, .7, .35)
z <- unlist(lapply(1:8, function(b) {
  size <- sum(block == b); sample(rep(c(1, 0), c(round(unequal[b] * size), size - round(unequal[b] * size))))
}))
x <- rnorm(n) + block / 4
data_blocked <- data.frame(y = 1 + block / 2 + z * (0.3 + 0.2 * block) + 0.8 * x + rnorm(n) * (1 + z),
                           z = z, x = x, block = block)

small <- rep(1:20, each = 3)                       # one treated unit in each block of three
zs <- as.vector(replicate(20, sample(c(1, 0, 0))))
data_small_blocks <- data.frame(y = small / 10 + 0.7 * zs + rnorm(60), z = zs, x = rnorm(60),
                                block = small)

uneven <- rep(1:18, times = rep(c(3, 4, 5), 6))  # one treated unit in each, whatever its size
zu <- unlist(lapply(rep(c(3, 4, 5), 6), function(m) sample(c(1, rep(0, m - 1)))))
data_uneven_blocks <- data.frame(y = uneven / 6 + (0.2 + uneven / 10) * zu + rnorm(length(uneven)),
                                 z = zu, x = rnorm(length(uneven)), block = uneven)

pairs <- rep(1:15, each = 2)
zp <- as.vector(replicate(15, sample(c(1, 0))))
data_pairs <- data.frame(y = pairs / 5 + 0.6 * zp + rnorm(30), z = zp, block = pairs)

sizes <- c(3, 14, 5, 9, 2, 11, 7, 6, 4, 8, 12, 5)
cluster <- rep(1:12, times = sizes)
zc <- as.integer(cluster %in% c(1, 2, 5, 8, 11))
xc <- rnorm(length(cluster)) + rnorm(12)[cluster]
data_clustered <- data.frame(y = 0.5 * zc + 0.6 * xc + rnorm(12)[cluster] + rnorm(length(cluster)),
                             z = zc, x = xc, cluster = cluster)

bc_cluster <- rep(1:24, times = rep(c(3, 5, 4, 6), 6))
bc_block <- (bc_cluster - 1) %/% 6 + 1             # four blocks of six clusters
bc_equal <- as.integer((bc_cluster - 1) %% 6 < 3)
bc_unequal <- as.integer((bc_cluster - 1) %% 6 < c(2, 3, 4, 2)[bc_block])
noise <- rnorm(24)[bc_cluster] + rnorm(length(bc_cluster))
data_block_cluster <- data.frame(y = bc_block + 0.8 * bc_equal + noise, z = bc_equal,
                                 block = bc_block, cluster = bc_cluster)
data_block_cluster_unequal <- data.frame(y = bc_block + (0.2 + 0.3 * bc_block) * bc_unequal + noise,
                                         z = bc_unequal, block = bc_block, cluster = bc_cluster)

unit <- 1:60
family <- rep(1:15, times = c(1, 7, 2, 6, 3, 5, 4, 4, 8, 2, 3, 6, 1, 5, 3))
base <- rnorm(60) + rnorm(15)[family]
gain <- ifelse(unit %% 5 == 0, rexp(60), 0.1 * rnorm(60))
data_paired <- data.frame(unit = rep(unit, 2), z = rep(c(0, 1), each = 60),
                          y = c(base, base + gain), cluster = rep(family, 2))

for (name in ls(pattern = "^data_")) write.csv(get(name), paste0(name, ".csv"), row.names = FALSE)

# ---- estimates ----
rows <- list()
keep <- function(case, data, estimator, covariates, b, se, df, p, low, high)
  rows[[length(rows) + 1]] <<- data.frame(case, data, estimator, covariates, estimate = b,
    std_error = se, df = df, p_value = p, conf_low = low, conf_high = high)
from_estimatr <- function(case, data, estimator, fit, covariates = "", term = "z") {
  i <- match(term, fit$term)
  keep(case, data, estimator, covariates, fit$coefficients[[i]], fit$std.error[[i]], fit$df[[i]],
       fit$p.value[[i]], fit$conf.low[[i]], fit$conf.high[[i]])
}
from_t <- function(case, data, estimator, fit, sign = 1)
  keep(case, data, estimator, "", unname(if (length(fit$estimate) == 2) diff(rev(fit$estimate)) else fit$estimate),
       fit$stderr, unname(fit$parameter), fit$p.value, fit$conf.int[1], fit$conf.int[2])

by_group <- function(d) t.test(d$y[d$z == 1], d$y[d$z == 0])
from_t("welch mtcars", "mtcars", "welch", by_group(data_mtcars))
from_t("welch sleep", "sleep", "welch", by_group(data_sleep))
from_estimatr("welch estimatr", "blocked", "welch", difference_in_means(y ~ z, data_blocked))
from_estimatr("HC2 mtcars", "mtcars", "difference_in_means", lm_robust(y ~ z, data_mtcars, se_type = "HC2"))
from_estimatr("HC2 blocked", "blocked", "difference_in_means", lm_robust(y ~ z, data_blocked, se_type = "HC2"))
from_estimatr("ancova mtcars", "mtcars", "ancova", lm_robust(y ~ z + x + w, data_mtcars, se_type = "HC2"), "x w")
from_estimatr("ancova blocked", "blocked", "ancova", lm_robust(y ~ z + x, data_blocked, se_type = "HC2"), "x")
from_estimatr("lin mtcars", "mtcars", "lin", lm_lin(y ~ z, ~ x + w, data_mtcars), "x w")
from_estimatr("lin blocked", "blocked", "lin", lm_lin(y ~ z, ~ x, data_blocked), "x")
from_estimatr("block npk", "npk", "block", difference_in_means(y ~ z, data_npk, blocks = block))
from_estimatr("block unequal", "blocked", "block", difference_in_means(y ~ z, data_blocked, blocks = block))
from_estimatr("block pairs", "pairs", "block", difference_in_means(y ~ z, data_pairs, blocks = block))
ipw <- function(d) with(d, ave(z, block, FUN = function(v) ifelse(v == 1, 1 / mean(v), 1 / (1 - mean(v)))))
for (name in c("small_blocks", "uneven_blocks", "blocked")) {
  d <- get(paste0("data_", name)); d$weight <- if (name == "small_blocks") 1 else ipw(d)
  from_estimatr(paste("block covariate", name), name, "block",
    lm_robust(y ~ z + x + factor(block), d, weights = weight, se_type = "HC2"), "x")
  if (name != "blocked")
    from_estimatr(paste("block regression", name), name, "block",
      lm_robust(y ~ z + factor(block), d, weights = weight, se_type = "HC2"))
}
from_estimatr("cluster mtcars", "mtcars", "cluster", lm_robust(y ~ z, data_mtcars, clusters = cluster, se_type = "CR2"))
from_estimatr("cluster mtcars x", "mtcars", "cluster", lm_robust(y ~ z + x + w, data_mtcars, clusters = cluster, se_type = "CR2"), "x w")
from_estimatr("cluster", "clustered", "cluster", lm_robust(y ~ z, data_clustered, clusters = cluster, se_type = "CR2"))
from_estimatr("cluster x", "clustered", "cluster", lm_robust(y ~ z + x, data_clustered, clusters = cluster, se_type = "CR2"), "x")
from_estimatr("cluster blocks", "block_cluster", "cluster",
  lm_robust(y ~ z + factor(block), data_block_cluster, clusters = cluster, se_type = "CR2"))
from_estimatr("cluster blocks unequal", "block_cluster_unequal", "cluster",
  lm_lin(y ~ z, ~ factor(block), data_block_cluster_unequal, clusters = cluster, se_type = "CR2"))
from_club <- function(case, data, fit, cluster, term = "z") {
  test <- coef_test(fit, vcov = "CR2", cluster = cluster, test = "Satterthwaite")
  b <- test[term, "beta"]; se <- test[term, "SE"]; df <- test[term, if ("df_Satt" %in% names(test)) "df_Satt" else "df"]
  keep(case, data, "cluster", "", b, se, df, 2 * pt(-abs(b / se), df), b - qt(.975, df) * se, b + qt(.975, df) * se)
}
from_club("clubSandwich mtcars", "mtcars", lm(y ~ z, data_mtcars), data_mtcars$cluster)
from_club("clubSandwich", "clustered", lm(y ~ z, data_clustered), data_clustered$cluster)
from_club("clubSandwich blocks", "block_cluster", lm(y ~ z + factor(block), data_block_cluster), data_block_cluster$cluster)
wide <- with(data_paired, data.frame(d = y[z == 1] - y[z == 0], cluster = cluster[z == 1]))
from_t("paired", "paired", "paired", with(data_paired, t.test(y[z == 1], y[z == 0], paired = TRUE)))
from_t("paired sleep", "sleep", "paired", with(data_sleep, t.test(y[z == 1], y[z == 0], paired = TRUE)))
from_estimatr("paired clusters", "paired", "paired clustered",
  lm_robust(d ~ 1, wide, clusters = cluster, se_type = "CR2"), term = "(Intercept)")
write.csv(do.call(rbind, rows), "estimates.csv", row.names = FALSE)

# ---- effect sizes ----
sizes <- list()
size <- function(case, data, kind, fit, level) sizes[[length(sizes) + 1]] <<-
  data.frame(case, data, kind, level, value = fit[[1]], low = fit$CI_low, high = fit$CI_high)
for (name in c("mtcars", "blocked", "sleep", "clustered")) for (level in c(.95, .9)) {
  d <- get(paste0("data_", name))
  size(name, name, "hedges_g", hedges_g(d$y[d$z == 1], d$y[d$z == 0], ci = level), level)
}
for (name in c("sleep", "paired")) for (level in c(.95, .9)) {
  d <- get(paste0("data_", name))
  size(name, name, "cohen_dz", cohens_d(d$y[d$z == 1], d$y[d$z == 0], paired = TRUE, ci = level), level)
}
write.csv(do.call(rbind, sizes), "effect_sizes.csv", row.names = FALSE)

# ---- noncentral t: exact limits by uniroot on pt, far and near ----
limits <- do.call(rbind, lapply(list(c(0, 4), c(2.5, 8), c(-3.3, 30), c(12, 60), c(25, 200)), function(v) {
  root <- function(p) uniroot(function(ncp) pt(v[1], v[2], ncp) - p, c(-37, 37), tol = 1e-12)$root
  data.frame(t = v[1], df = v[2], low = root(.975), high = root(.025))
}))
write.csv(limits, "noncentral_t.csv", row.names = FALSE)

# ---- proportions: Newcombe's hybrid score intervals from prop.test's Wilson intervals ----
wilson <- function(x, n) prop.test(x, n, correct = FALSE)$conf.int
newcombe <- function(x1, n1, x0, n0) {
  a <- wilson(x1, n1); b <- wilson(x0, n0); p <- x1 / n1; q <- x0 / n0
  c(p - q - sqrt((p - a[1])^2 + (b[2] - q)^2), p - q + sqrt((a[2] - p)^2 + (q - b[1])^2))
}
risks <- do.call(rbind, lapply(list(c(56, 70, 48, 80), c(9, 10, 3, 10), c(0, 20, 5, 25), c(10, 10, 0, 10)), function(v) {
  ci <- newcombe(v[1], v[2], v[3], v[4])
  data.frame(x1 = v[1], n1 = v[2], x0 = v[3], n0 = v[4], low = ci[1], high = ci[2])
}))
write.csv(risks, "risk_differences.csv", row.names = FALSE)

# ---- paired proportions: Newcombe (1998b) method 10; the table is (both, first, second, neither) ----
paired_risk <- function(v) {
  n <- sum(v); p <- (v[1] + v[2]) / n; q <- (v[1] + v[3]) / n
  a <- wilson(v[1] + v[2], n); b <- wilson(v[1] + v[3], n)
  cross <- v[1] * v[4] - v[2] * v[3]
  if (cross > 0) cross <- max(cross - n / 2, 0)
  margins <- (v[1] + v[2]) * (v[3] + v[4]) * (v[1] + v[3]) * (v[2] + v[4])
  phi <- if (margins == 0) 0 else cross / sqrt(margins)
  reach <- function(x, y) sqrt(x^2 - 2 * phi * x * y + y^2)
  data.frame(both = v[1], first = v[2], second = v[3], neither = v[4], value = p - q,
             low = p - q - reach(p - a[1], b[2] - q), high = p - q + reach(a[2] - p, q - b[1]))
}
tables <- list(c(20, 12, 2, 16), c(14, 5, 0, 22), c(1, 1, 7, 12), c(2, 9, 8, 1), c(36, 12, 2, 0))
write.csv(do.call(rbind, lapply(tables, paired_risk)), "paired_risk_differences.csv", row.names = FALSE)

# ---- multiplicity ----
p <- c(.0001, .004, .019, .0201, .0278, .0298, .0344, .0459, .324, .4262, .5719, .6528, .759, 1)
adjusted <- data.frame(p = p)
for (m in c("none", "bonferroni", "holm", "hochberg", "hommel", "BH", "BY")) adjusted[[tolower(m)]] <- p.adjust(p, m)
write.csv(adjusted, "adjusted_p.csv", row.names = FALSE)

plants <- as.data.frame(as.table(pairwise.t.test(data_plants$y, data_plants$group, pool.sd = FALSE,
                                                 p.adjust.method = "holm")$p.value))
names(plants) <- c("treatment", "reference", "p_adjusted")
write.csv(plants[!is.na(plants$p_adjusted), ], "plants.csv", row.names = FALSE)
