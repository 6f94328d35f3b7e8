# Golden values of the sparse and exposed-stratum estimators: run `Rscript make_sparse.R` here.
# The wider of Student's interval and of Hall's, by root finding on his polynomial with the skewness
# times 1 + 10/n; Wilson's from prop.test; R 4.2.
options(digits = 17)
set.seed(20250311)
hall <- function(t, g, n) t + g * t^2 / (3 * sqrt(n)) + g^2 * t^3 / (27 * n) + g / (6 * sqrt(n))
skew <- function(x) mean((x - mean(x))^3) / mean((x - mean(x))^2)^1.5
rows <- list(); data <- list()
keep <- function(case, x, n, level) {
  m <- length(x); g <- if (m > 2) (1 + 10 / m) * skew(x) else 0; se <- sd(x) / sqrt(m); q <- qt((1 + level) / 2, m - 1)
  limit <- function(p) mean(x) - se * uniroot(function(t) hall(t, g, m) - p, c(-1e4, 1e4), tol = 1e-14)$root
  mu <- c(min(limit(q), mean(x) - q * se), max(limit(-q), mean(x) + q * se)); w <- prop.test(m, n, correct = FALSE, conf.level = level)$conf.int
  p <- m / n; e <- mean(x)
  below <- if (e > 0) p - w[1] else w[2] - p; above <- if (e > 0) w[2] - p else p - w[1]
  low <- p * e - sqrt((p * (e - mu[1]))^2 + (e * below)^2)
  high <- p * e + sqrt((p * (mu[2] - e))^2 + (e * above)^2)
  if (mu[1] > 0) low <- max(low, w[1] * mu[1])
  if (mu[2] < 0) high <- min(high, w[1] * mu[2])
  both <- c(e / se, hall(e / se, g, m)); t <- both[which.min(abs(both))]
  rows[[length(rows) + 1]] <<- data.frame(case, n, level, estimate = p * e,
    std_error = sqrt(p^2 * se^2 + e^2 * p * (1 - p) / n), statistic = t, df = m - 1,
    p_value = 2 * pt(-abs(t), m - 1), conf_low = low, conf_high = high)
  data[[length(data) + 1]] <<- data.frame(case, x)
}
keep("few", rlnorm(4), 200, .95)
keep("skewed", rlnorm(20), 200, .95)
keep("negative", -rlnorm(11), 150, .9)
keep("symmetric", c(-2, -1, 0, 1, 2, 3), 60, .95)
keep("weak", rnorm(40, .33), 90, .95)
keep("two", c(1, 3), 30, .95)
write.csv(do.call(rbind, rows), "sparse.csv", row.names = FALSE)
write.csv(do.call(rbind, data), "data_sparse.csv", row.names = FALSE)
